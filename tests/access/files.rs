//! The file of users and the `user` lines of a configuration.

use std::fs;
use std::path::PathBuf;

use crate::ask;
use crate::support::server::{Program, Server};

/// A directory of this test's own, gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("eave-access-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Directory(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the directory takes files");
        path.to_str().expect("a path in UTF-8").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(program: Program, options: &[&str]) -> Result<Server, String> {
    let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
    Server::start(program, &options)
}

const PROGRAMS: [Program; 2] = [Program::Eave, Program::Redis];

#[test]
fn a_file_is_read_at_start_and_by_load() {
    let directory = Directory::new("load");
    for program in PROGRAMS {
        let path = directory.write("users.acl", "user ann on >p ~a* +@all\n\nuser bob off\n");
        let server = start(program, &["--aclfile", &path]).expect("the server starts");
        let mut admin = server.connect().expect("the server answers");
        assert_eq!(ask(&mut admin, "ACL USERS"), r#"["ann" "bob" "default"]"#);
        let mut ann = server.connect().expect("the server answers");
        assert_eq!(ask(&mut ann, "AUTH ann p"), "OK");
        directory
            .write("users.acl", "user ann on >p ~a* +@all\r\nuser eve on nopass ~e (+get ~f)\n");
        assert_eq!(ask(&mut admin, "ACL LOAD"), "OK");
        assert_eq!(ask(&mut admin, "ACL USERS"), r#"["ann" "default" "eve"]"#);
        assert_eq!(ask(&mut ann, "PING"), "closed", "{program:?}: as Redis 7.0 does");
        assert_eq!(ask(&mut admin, "PING"), "PONG", "the default user stays");
        directory.write("users.acl", "");
        assert_eq!(ask(&mut admin, "ACL LOAD"), "OK");
        assert_eq!(ask(&mut admin, "ACL LIST"), r#"["user default on nopass ~* &* +@all"]"#);
    }
}

#[test]
fn a_file_with_errors_changes_nothing() {
    let directory = Directory::new("errors");
    let files = [
        "bogus\n",
        "user\n",
        "user ann bogus\n",
        "user ann on >p\nuser ann off\n",
        "user ann on\n\n# a comment\nuser eve (+get\nuser\nuser bob +@nosuch ~* bogus\nuser cid bogus +@nosuch\n",
        "user ann  on\nuser  bob on\nUSER cid on\n",
        "user ann on ~* ~a\nuser bob &* &a\nuser cid <p\nuser dan #p\n",
        "user ann (+get ~a\n",
        "user ann (+get (+set ~a)\n",
        " user ann on \n\tuser bob\ton\n",
        "user ann\ton\n",
    ];
    for program in PROGRAMS {
        let path = directory.write("users.acl", "user zoe on nopass ~* +@all\n");
        let server = start(program, &["--aclfile", &path]).expect("the server starts");
        let mut admin = server.connect().expect("the server answers");
        let mut told = Vec::new();
        for file in files {
            directory.write("users.acl", file);
            let answer = ask(&mut admin, "ACL LOAD");
            if answer != "OK" {
                assert_eq!(ask(&mut admin, "ACL USERS"), r#"["default" "zoe"]"#, "{file:?}");
            }
            told.push(answer.replace(&path, "FILE"));
            directory.write("users.acl", "user zoe on nopass ~* +@all\n");
            assert_eq!(ask(&mut admin, "ACL LOAD"), "OK");
        }
        fs::remove_file(&path).expect("it is there");
        told.push(ask(&mut admin, "ACL LOAD").replace(&path, "FILE"));
        fs::write(directory.0.join(format!("{program:?}")), told.join("\n")).expect("to write");
    }
    let [ours, theirs] =
        PROGRAMS.map(|program| fs::read_to_string(directory.0.join(format!("{program:?}"))));
    assert_eq!(ours.expect("it was written"), theirs.expect("it was written"));
}

#[test]
fn what_was_saved_is_read_again() {
    let directory = Directory::new("save");
    for program in PROGRAMS {
        let path = directory.write("users.acl", "");
        let server = start(program, &["--aclfile", &path]).expect("the server starts");
        let mut admin = server.connect().expect("the server answers");
        let rules = "on >p ~a* %R~b &c* -@all +get +@hash (+set %W~d) (+config|get)";
        assert_eq!(ask(&mut admin, &format!("ACL SETUSER ann {rules}")), "OK");
        let before = ask(&mut admin, "ACL LIST");
        assert_eq!(ask(&mut admin, "ACL SAVE"), "OK");
        let saved = fs::read_to_string(&path).expect("it was saved");
        assert_eq!(saved.lines().count(), 2, "{saved}");
        assert!(!saved.contains(">p"), "no password in clear");
        assert_eq!(ask(&mut admin, "ACL DELUSER ann"), "1");
        assert_eq!(ask(&mut admin, "ACL LOAD"), "OK");
        assert_eq!(ask(&mut admin, "ACL LIST"), before);
        let left: Vec<_> = fs::read_dir(&directory.0)
            .expect("the directory is there")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.contains("users.acl."))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let directory = Directory::new("unwritable");
    let path = directory.write("users.acl", "");
    let server = start(Program::Eave, &["--aclfile", &path]).expect("the server starts");
    fs::remove_file(&path).expect("it is there");
    fs::remove_dir(&directory.0).expect("it is empty");
    let mut admin = server.connect().expect("the server answers");
    assert_eq!(
        ask(&mut admin, "ACL SAVE"),
        "!ERR There was an error trying to save the ACLs. Please check the server logs for more \
         information"
    );
}

#[test]
fn users_of_the_configuration() {
    let directory = Directory::new("config");
    let text = "user ann on >p ~a* +get (+set ~b)\nuser default on >q ~* &* +@all\nrequirepass x\n";
    let path = directory.write("server.conf", text);
    let server = start(Program::Eave, &["--include", &path]).expect("the server starts");
    let mut client = server.connect().expect("the server answers");
    assert_eq!(ask(&mut client, "PING"), "!NOAUTH Authentication required.");
    assert!(
        ask(&mut client, "AUTH x").starts_with("!WRONGPASS"),
        "the line of the default user counts"
    );
    assert_eq!(ask(&mut client, "AUTH q"), "OK");
    assert_eq!(ask(&mut client, "AUTH ann p"), "OK");
    assert_eq!(ask(&mut client, "GET a1"), "nil");
    assert_eq!(ask(&mut client, "SET b 1"), "OK");
    assert!(ask(&mut client, "SET a1 1").starts_with("!NOPERM"));
}

#[test]
fn a_start_with_wrong_users_fails_and_shows_no_password() {
    let directory = Directory::new("wrong");
    let users = directory.write("users.acl", "user ann on\n");
    for text in [
        "user ann on >s3cret bogus".to_owned(),
        "user ann >s3cret +@nosuch".to_owned(),
        "user".to_owned(),
        "user \"a b\" on >s3cret".to_owned(),
        "user ann (+get >s3cret".to_owned(),
        "user ann on >s3cret\nuser ann off".to_owned(),
        format!("user ann on >s3cret\naclfile {users}"),
        format!("aclfile {users}.none"),
        format!("aclfile {}", directory.write("bad.acl", "user ann on >s3cret bogus\n")),
    ] {
        let path = directory.write("server.conf", &text);
        let why = start(Program::Eave, &["--include", &path]).map(|_| text.clone()).unwrap_err();
        assert!(why.contains("could not start"), "{text}: {why}");
        assert!(!why.contains("s3cret"), "{text}: {why}");
    }
}
