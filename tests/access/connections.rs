//! What happens to connections when their user changes: the same with Eave and redis-server.

use crate::support::reply::Reply;
use crate::support::server::{Program, Server};
use crate::{ask, tell};

/// Runs a conversation with each server.
fn both(talk: impl Fn(&Server)) {
    for program in [Program::Eave, Program::Redis] {
        talk(&Server::start(program, &[]).expect("the server starts"));
    }
}

#[test]
fn a_deleted_user_is_cut_off_and_others_are_not() {
    both(|server| {
        let connect = || server.connect().expect("the server answers");
        let (mut admin, mut ann, mut bob) = (connect(), connect(), connect());
        assert_eq!(ask(&mut admin, "ACL SETUSER ann on >p +@all ~* &*"), "OK");
        assert_eq!(ask(&mut admin, "ACL SETUSER bob on >p +@all ~* &*"), "OK");
        assert_eq!(ask(&mut ann, "AUTH ann p"), "OK");
        assert_eq!(ask(&mut bob, "AUTH bob p"), "OK");
        assert_eq!(ask(&mut admin, "ACL DELUSER ann"), "1");
        assert_eq!(ask(&mut ann, "PING"), "closed");
        assert_eq!(ask(&mut bob, "PING"), "PONG");
        // A user that removes itself gets its answer.
        assert_eq!(ask(&mut bob, "ACL DELUSER bob"), "1");
        assert_eq!(ask(&mut bob, "PING"), "closed");
        assert_eq!(ask(&mut admin, "PING"), "PONG");
    });
}

#[test]
fn who_is_turned_off_stays_and_cannot_come_back() {
    both(|server| {
        let connect = || server.connect().expect("the server answers");
        let (mut admin, mut ann) = (connect(), connect());
        assert_eq!(ask(&mut admin, "ACL SETUSER ann on >p +ping"), "OK");
        assert_eq!(ask(&mut ann, "AUTH ann p"), "OK");
        assert_eq!(ask(&mut admin, "ACL SETUSER ann off"), "OK");
        assert_eq!(ask(&mut ann, "PING"), "PONG");
        assert_eq!(
            ask(&mut ann, "AUTH ann p"),
            "!WRONGPASS invalid username-password pair or user is disabled."
        );
        assert_eq!(ask(&mut ann, "PING"), "PONG");
    });
}

#[test]
fn listeners_lose_what_they_may_not_hear() {
    both(|server| {
        let connect = || server.connect().expect("the server answers");
        let mut admin = connect();
        assert_eq!(ask(&mut admin, "ACL SETUSER ann on nopass +@all &a* &b* &s*"), "OK");
        let mut listeners: Vec<_> =
            ["SUBSCRIBE a1", "PSUBSCRIBE b*", "SSUBSCRIBE s1", "SUBSCRIBE b1"]
                .iter()
                .map(|line| {
                    let mut listener = connect();
                    assert_eq!(ask(&mut listener, "AUTH ann x"), "OK");
                    assert!(ask(&mut listener, line).contains("subscribe"), "{line}");
                    listener
                })
                .collect();
        assert_eq!(ask(&mut admin, "ACL SETUSER ann resetchannels &a* &b?"), "OK");
        assert_eq!(listeners[1].receive(), Ok(Reply::Closed), "its pattern is gone");
        assert_eq!(listeners[2].receive(), Ok(Reply::Closed), "its shard channel is gone");
        assert_eq!(ask(&mut admin, "PUBLISH a1 m"), "1");
        assert_eq!(ask(&mut admin, "PUBLISH b1 m"), "1");
        for at in [0, 3] {
            let heard = listeners[at].receive().expect("the server speaks");
            assert!(heard.to_string().contains("\"m\""), "{heard}");
        }
    });
}

#[test]
fn the_default_user_is_for_those_who_have_not_authenticated() {
    both(|server| {
        let connect = || server.connect().expect("the server answers");
        let (mut admin, mut early) = (connect(), connect());
        let no_auth = "!NOAUTH Authentication required.";
        assert_eq!(ask(&mut early, "PING"), "PONG");
        assert_eq!(ask(&mut admin, "ACL SETUSER admin on >a +@all ~* &*"), "OK");
        assert_eq!(ask(&mut admin, "AUTH admin a"), "OK");
        assert_eq!(ask(&mut admin, "ACL SETUSER default off"), "OK");
        assert_eq!(ask(&mut early, "PING"), "PONG", "who was there stays");
        let mut late = connect();
        assert_eq!(ask(&mut late, "PING"), no_auth);
        assert_eq!(ask(&mut late, "AUTH admin a"), "OK");
        assert_eq!(ask(&mut late, "PING"), "PONG");
        assert_eq!(ask(&mut late, "RESET"), "RESET");
        assert_eq!(ask(&mut late, "PING"), no_auth);
        assert_eq!(ask(&mut admin, "ACL SETUSER default on nopass"), "OK");
        assert_eq!(ask(&mut late, "PING"), "PONG", "nobody has to authenticate any more");
        assert_eq!(ask(&mut admin, "CONFIG SET requirepass secret"), "OK");
        assert_eq!(ask(&mut late, "PING"), no_auth);
        assert_eq!(ask(&mut late, "AUTH secret"), "OK");
        assert_eq!(ask(&mut late, "PING"), "PONG");
    });
}

#[test]
fn a_replica_follows_as_a_user() {
    let options = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let leader = Server::start(Program::Redis, &[]).expect("the server starts");
    let mut admin = leader.connect().expect("the server answers");
    assert_eq!(ask(&mut admin, "ACL SETUSER rep on >r +psync +replconf +ping"), "OK");
    assert_eq!(ask(&mut admin, "CONFIG SET requirepass secret"), "OK");
    let port = leader.resp.port().to_string();
    let replica = Server::start(
        Program::Eave,
        &options(&["--replicaof", "127.0.0.1", &port, "--masteruser", "rep", "--masterauth", "r"]),
    )
    .expect("the server starts");
    assert_eq!(tell(&mut admin, &["SET", "k", "v"]), "OK");
    let mut reader = replica.connect().expect("the server answers");
    for _ in 0..1000 {
        if ask(&mut reader, "GET k") == "\"v\"" {
            return;
        }
        crate::support::server::pause(std::time::Duration::from_millis(10));
    }
    panic!("the replica has not got the key: {}", replica.log_tail());
}
