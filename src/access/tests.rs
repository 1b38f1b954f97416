//! Rules and what they are turned into again.

use proptest::prelude::*;

use super::catalog::catalog;
use super::selector::Selector;
use super::user::{Hash, NewChannels, User};
use super::users::{Access, READ_ONLY};
use crate::config::{Config, Secret, split_words};

fn rule() -> impl Strategy<Value = String> {
    let category = prop::sample::select(super::catalog::CATEGORIES.to_vec());
    let command =
        (0..catalog().all().len()).prop_map(|number| catalog().all()[number].name.clone());
    let sign = || prop::sample::select(vec!["+", "-"]);
    prop_oneof![
        1 => (sign(), category).prop_map(|(sign, name)| format!("{sign}@{name}")),
        3 => (sign(), command).prop_map(|(sign, name)| format!("{sign}{name}")),
        1 => prop::sample::select(vec![
            "allcommands", "nocommands", "~a*", "%R~b", "%W~c", "&d", "allkeys", "resetkeys",
            "+select|0", "+get|x", "on", ">secret", "(+get ~x)", "nopass",
        ])
        .prop_map(str::to_owned),
    ]
}

fn user_of(rules: &[String]) -> User {
    let mut user = User::new(1, b"u", NewChannels::None);
    for rule in rules {
        // A pattern behind the one for all is an error, and changes nothing.
        let mut next = user.clone();
        if next.apply(rule.as_bytes(), NewChannels::None).is_ok() {
            user = next;
        }
    }
    user
}

/// What a line has to keep. That all commands are allowed "and were ever" is not written down: a
/// line says `+@all` of both.
fn kept(selector: &Selector) -> Selector {
    Selector { all_commands: selector.commands == super::selector::Set::ALL, ..selector.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_makes_the_same_user_again(rules in prop::collection::vec(rule(), 0..20)) {
        let user = user_of(&rules);
        let line = user.line();
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').skip(2).collect();
        let words = super::user::join_selectors(&words).unwrap();
        let mut again = User::new(1, b"u", NewChannels::None);
        for word in &words {
            again.apply(word, NewChannels::None).unwrap();
        }
        prop_assert_eq!(again.line(), line);
        let selectors = |user: &User| user.selectors.iter().map(kept).collect::<Vec<_>>();
        // A first argument of a command that is allowed as such says nothing, and is not kept.
        let commands = |user: &User| {
            selectors(user).into_iter().map(|one| (one.commands, one.keys, one.channels)).collect::<Vec<_>>()
        };
        prop_assert_eq!(commands(&again), commands(&user));
        prop_assert_eq!(again.passwords.len(), user.passwords.len());
    }
}

#[test]
fn the_read_only_user_has_all_of_its_rules() {
    let mut config = Config::default();
    config.rest_token_readonly = Secret::new("token");
    let access = Access::new(&config);
    let users = access.users();
    let user = users.get(READ_ONLY).unwrap();
    assert!(user.enabled && user.has_password(b"token") && !user.is_unrestricted());
    let root = &user.selectors[0];
    let allows = |name: &str| root.commands.has(catalog().find(name).unwrap());
    for name in ["get", "mget", "ping", "client|id", "xread", "command", "dbsize"] {
        assert!(allows(name), "{name}");
    }
    for name in ["set", "scan", "keys", "randomkey", "client|list", "info", "acl|list"] {
        assert!(!allows(name), "{name}");
    }
    for known in catalog().all().iter().filter(|known| known.command.writes()) {
        assert!(!allows(&known.name), "{} writes", known.name);
    }
}

#[test]
fn hashes_are_read_and_written() {
    let hash = Hash::of(b"hello");
    let digits = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(hash.digits(), digits);
    assert!(bool::from(Hash::parse(digits.as_bytes()).unwrap().matches(&hash)));
    assert_eq!(format!("{hash:?}"), "Hash(hidden)");
    assert!(split_words(b"(\"").is_none(), "what a selector's words cannot be");
}

#[test]
fn changes_move_the_generation_and_failures_do_not() {
    let access = Access::new(&Config::default());
    let before = access.generation();
    let refused: Result<(), ()> = access.try_change(|users| {
        users.insert(User::new(7, b"x", NewChannels::None));
        Err(())
    });
    assert_eq!((refused, access.generation()), (Err(()), before));
    assert!(access.users().get(b"x").is_none());
    access.change(|users| users.insert(User::new(7, b"x", NewChannels::None)));
    assert!(access.generation() > before && access.users().get(b"x").is_some());
}

#[test]
fn the_default_user_cannot_be_removed() {
    let access = Access::new(&Config::default());
    assert!(access.remove(&[b"default", b"nobody"]).is_empty());
    assert!(access.users().default().is_open());
}
