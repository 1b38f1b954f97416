//! Users over REST: whose token may do what, and from when on it may not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ask;
use crate::support::http::Client;
use crate::support::reply::Reply;
use crate::support::server::{Program, REST_TOKEN, Server};

fn start(options: &[&str]) -> Server {
    let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
    Server::start(Program::Eave, &options).expect("the server starts")
}

fn client(server: &Server, token: &str) -> Client {
    Client::new(server.rest.expect("Eave has REST"), token)
}

/// What a command answers, or the whole answer where it is neither result nor error of a
/// command.
fn call(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match client.call(&words) {
        Ok(reply) => reply.to_string(),
        Err(why) => why,
    }
}

fn token(name: &str, secret: &str) -> String {
    let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("ev_{}.{}", text(name), text(secret))
}

const UNAUTHORIZED: &str = "neither 200 with a result nor 400 with an error: HTTP 401 \
                            {\"error\":\"WRONGPASS invalid or missing auth token\"}";

#[test]
fn a_token_has_the_rights_of_its_user_at_each_request() {
    let server = start(&[]);
    let mut admin = server.connect().expect("the server answers");
    assert_eq!(ask(&mut admin, "ACL SETUSER ann on >p +get +set ~a*"), "OK");
    let found = ask(&mut admin, "ACL RESTTOKEN ann p");
    assert_eq!(found, format!("\"{}\"", token("ann", "p")));
    let mut ann = client(&server, found.trim_matches('"'));
    assert_eq!(call(&mut ann, "SET a1 v"), "OK");
    assert_eq!(call(&mut ann, "GET a1"), "\"v\"");
    assert_eq!(
        call(&mut ann, "GET b"),
        "!NOPERM this user has no permissions to access one of the keys used as arguments"
    );
    assert_eq!(
        call(&mut ann, "DEL a1"),
        "!NOPERM this user has no permissions to run the 'del' command"
    );
    assert_eq!(ask(&mut admin, "ACL SETUSER ann -set"), "OK");
    assert_eq!(
        call(&mut ann, "SET a1 w"),
        "!NOPERM this user has no permissions to run the 'set' command"
    );
    assert_eq!(ask(&mut admin, "ACL SETUSER ann +set +del resetkeys ~b"), "OK");
    assert!(call(&mut ann, "GET a1").starts_with("!NOPERM"));
    assert_eq!(call(&mut ann, "GET b"), "nil");
    assert_eq!(ask(&mut admin, "ACL SETUSER ann off"), "OK");
    assert_eq!(call(&mut ann, "GET b"), UNAUTHORIZED);
    assert_eq!(ask(&mut admin, "ACL SETUSER ann on <p"), "OK");
    assert_eq!(call(&mut ann, "GET b"), UNAUTHORIZED);
    assert_eq!(ask(&mut admin, "ACL SETUSER ann nopass"), "OK");
    assert_eq!(call(&mut ann, "GET b"), UNAUTHORIZED, "REST always asks for a token");
    assert_eq!(ask(&mut admin, "ACL SETUSER ann >p"), "OK");
    assert_eq!(call(&mut ann, "GET b"), "nil");
    assert_eq!(ask(&mut admin, "ACL DELUSER ann"), "1");
    let mut again = client(&server, &token("ann", "p"));
    assert_eq!(call(&mut again, "GET b"), UNAUTHORIZED);
}

#[test]
fn a_generated_token_is_password_and_bearer_token() {
    let server = start(&[]);
    let mut admin = server.connect().expect("the server answers");
    let Ok(Reply::Bulk(made)) = admin.call(&["ACL", "GENTOKEN", "ann"]) else { panic!("no token") };
    let made = String::from_utf8(made).expect("letters and digits");
    let mut rest = client(&server, &made);
    assert_eq!(call(&mut rest, "PING"), UNAUTHORIZED, "there is no such user yet");
    assert_eq!(ask(&mut admin, &format!("ACL SETUSER ann on >{made} +ping +acl|whoami")), "OK");
    assert_eq!(call(&mut rest, "PING"), "\"PONG\"");
    assert_eq!(call(&mut rest, "ACL WHOAMI"), "\"ann\"");
    let mut resp = server.connect().expect("the server answers");
    assert_eq!(ask(&mut resp, &format!("AUTH ann {made}")), "OK");
    assert_eq!(ask(&mut resp, "ACL WHOAMI"), "\"ann\"");
    // The secret of a token is not its token.
    let secret = made.split('.').nth(1).expect("a secret");
    assert_eq!(call(&mut client(&server, secret), "PING"), UNAUTHORIZED);
    assert!(ask(&mut resp, &format!("AUTH ann {secret}")).starts_with("!WRONGPASS"));
}

#[test]
fn the_standard_token_is_the_default_user() {
    let server = start(&[]);
    let mut admin = server.connect().expect("the server answers");
    let mut rest = client(&server, REST_TOKEN);
    assert_eq!(call(&mut rest, "ACL WHOAMI"), "\"default\"");
    assert_eq!(ask(&mut admin, "ACL SETUSER admin on >a +@all ~* &*"), "OK");
    assert_eq!(ask(&mut admin, "AUTH admin a"), "OK");
    assert_eq!(ask(&mut admin, "ACL SETUSER default -@dangerous"), "OK");
    assert!(call(&mut rest, "KEYS *").starts_with("!NOPERM"));
    assert_eq!(call(&mut rest, "GET k"), "nil");
    assert_eq!(ask(&mut admin, "ACL SETUSER default off"), "OK");
    assert_eq!(call(&mut rest, "GET k"), UNAUTHORIZED);
    // A password of the default user is no way around its token's form.
    assert_eq!(ask(&mut admin, "ACL SETUSER default on nopass"), "OK");
    assert_eq!(call(&mut client(&server, &token("default", "")), "PING"), UNAUTHORIZED);
    assert_eq!(call(&mut client(&server, ""), "PING"), UNAUTHORIZED);
}

#[test]
fn the_read_only_token_is_a_user_of_its_own() {
    let server = start(&["--rest-token-readonly", "reader"]);
    let mut admin = server.connect().expect("the server answers");
    assert_eq!(ask(&mut admin, "ACL USERS"), r#"["default" "default_ro"]"#);
    assert_eq!(ask(&mut admin, "SET k v"), "OK");
    let mut rest = client(&server, "reader");
    assert_eq!(
        call(&mut rest, "ACL WHOAMI"),
        "!NOPERM this user has no permissions to run the 'acl|whoami' command"
    );
    assert_eq!(call(&mut rest, "GET k"), "\"v\"");
    assert_eq!(call(&mut rest, "PING"), "\"PONG\"");
    for refused in [
        "SET k w",
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "INFO",
        "CONFIG GET *",
        "PUBLISH a b",
        "ACL LIST",
        "CLIENT LIST",
        "FLUSHALL",
        "TIME",
        "ROLE",
    ] {
        assert!(call(&mut rest, refused).starts_with("!NOPERM"), "{refused}");
    }
    let mut resp = server.connect().expect("the server answers");
    assert_eq!(ask(&mut resp, "AUTH default_ro reader"), "OK");
    assert!(ask(&mut resp, "SET k w").starts_with("!NOPERM"));
    assert_eq!(ask(&mut resp, "GET k"), "\"v\"");
}

#[test]
fn who_guesses_is_slowed_down_at_both_doors() {
    let server = start(&["--requirepass", "secret", "--auth-failures", "5/60s"]);
    let mut admin = server.connect().expect("the server answers");
    let mut guesser = crate::support::resp::Connection::open(server.resp).expect("it answers");
    for _ in 0..3 {
        assert!(ask(&mut guesser, "AUTH wrong").starts_with("!WRONGPASS"));
    }
    let mut rest = client(&server, "wrong");
    for _ in 0..2 {
        assert_eq!(call(&mut rest, "PING"), UNAUTHORIZED);
    }
    let slowed = "too many failed attempts to authenticate from this address";
    assert!(ask(&mut guesser, "AUTH secret").contains(slowed), "right or wrong");
    assert!(ask(&mut guesser, "HELLO 2 AUTH default secret").contains(slowed));
    let answer = call(&mut client(&server, REST_TOKEN), "PING");
    assert!(answer.contains("HTTP 429") && answer.contains(slowed), "{answer}");
    // Who has authenticated before goes on.
    assert_eq!(ask(&mut admin, "PING"), "\"PONG\"");
    assert_eq!(ask(&mut admin, "CONFIG SET auth-failures off"), "OK");
    assert_eq!(ask(&mut guesser, "AUTH secret"), "OK");
    assert_eq!(call(&mut client(&server, REST_TOKEN), "PING"), "\"PONG\"");
    assert_eq!(ask(&mut admin, "CONFIG GET auth-failures"), r#"["auth-failures" "off"]"#);
}
