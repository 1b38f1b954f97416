//! Bearer tokens that carry a user: those of ACL RESTTOKEN and ACL GENTOKEN.
//!
//! A token is `ev_`, the user's name, a dot and a secret, both in base64url. The server keeps
//! nothing for it: the secret of RESTTOKEN is the user's password, and a token of GENTOKEN is a
//! password as a whole, to be given to its user by `ACL SETUSER name >token`. So every node
//! that knows the user knows the token, and a token ends with its password. Upstash's tokens
//! are opaque; nothing but this file looks into ours.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::user::User;
use super::users::Users;
use crate::clock;

const PREFIX: &str = "ev_";

/// Bits that a password must at least have to become a token: what cannot be guessed over a
/// network within years.
const LEAST_BITS: f64 = 64.0;

/// A token of `name` and `secret`.
fn write(name: &[u8], secret: &[u8]) -> Zeroizing<String> {
    let mut token = Zeroizing::new(String::with_capacity(
        PREFIX.len() + (name.len() + secret.len()).div_ceil(3) * 4 + 8,
    ));
    token.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(name, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(secret, &mut token);
    token
}

/// The name and the secret of a token.
fn read(token: &[u8]) -> Option<(Vec<u8>, Zeroizing<Vec<u8>>)> {
    let rest = token.strip_prefix(PREFIX.as_bytes())?;
    let dot = rest.iter().position(|byte| *byte == b'.')?;
    let name = URL_SAFE_NO_PAD.decode(&rest[..dot]).ok()?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(&rest[dot + 1..]).ok()?);
    Some((name, secret))
}

/// A new token for a user called `name`, with `secret` in it, or a random one.
///
/// # Errors
/// When `secret` could be guessed.
pub fn generate(name: &[u8], secret: Option<&[u8]>) -> Result<Zeroizing<String>, TooWeak> {
    match secret {
        Some(secret) if bits(secret) < LEAST_BITS => Err(TooWeak),
        Some(secret) => Ok(write(name, secret)),
        None => {
            let mut random = Zeroizing::new([0; 32]);
            clock::secret_bytes(&mut *random);
            Ok(write(name, &*random))
        }
    }
}

/// A password that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooWeak;

/// The token with which REST knows `user`, if `password` is one of its passwords: the password
/// itself, if it is a token already.
pub fn of_user(user: &User, password: &[u8]) -> Option<Zeroizing<String>> {
    if !user.enabled || !user.has_password(password) {
        return None;
    }
    let is_own = read(password).is_some_and(|(name, _)| *name == *user.name);
    match std::str::from_utf8(password) {
        Ok(token) if is_own => Some(Zeroizing::new(token.to_owned())),
        _ => Some(write(&user.name, password)),
    }
}

/// The user whom a token names, if the token is right and the user is on. That any password
/// would do for a user is no token.
pub fn user_of(users: &Users, token: &[u8]) -> Option<Arc<User>> {
    let (name, secret) = read(token)?;
    let user = users.get(&name)?;
    let right = user.has_password(&secret) | user.has_password(token);
    (right && user.enabled).then(|| Arc::clone(user))
}

/// How many bits a password has at most, by its length and the kinds of characters in it, where
/// one that repeats counts once.
fn bits(password: &[u8]) -> f64 {
    if password.is_empty() {
        return 0.0;
    }
    type Kind = (fn(&u8) -> bool, f64);
    let kinds: [Kind; 4] = [
        (u8::is_ascii_digit, 10.0),
        (u8::is_ascii_lowercase, 26.0),
        (u8::is_ascii_uppercase, 26.0),
        (|byte| !byte.is_ascii_alphanumeric(), 32.0),
    ];
    let kinds = kinds.iter().filter(|(is, _)| password.iter().any(is));
    let alphabet: f64 = kinds.map(|(_, size)| size).sum();
    let different = password.iter().collect::<std::collections::BTreeSet<_>>().len();
    // A text of few different characters has less to choose from than its kinds say.
    let each = alphabet.max(1.0).log2().min((different as f64).log2() + 1.0);
    password.len().min(2 * different) as f64 * each
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::user::NewChannels;

    fn user(rules: &[&[u8]]) -> User {
        let mut user = User::new(1, b"ann", NewChannels::None);
        for rule in rules {
            user.apply(rule, NewChannels::None).unwrap();
        }
        user
    }

    fn found(user: &User, token: &str) -> bool {
        let mut users = Users::new(User::open_default(0));
        users.insert(user.clone());
        user_of(&users, token.as_bytes()).is_some()
    }

    #[test]
    fn a_password_becomes_a_token() {
        let user = user(&[b"on", b">secret"]);
        let token = of_user(&user, b"secret").unwrap();
        assert!(found(&user, &token));
        assert!(of_user(&user, b"other").is_none());
        assert!(!found(&user, &write(b"ann", b"other")));
        assert!(!found(&user, &write(b"bob", b"secret")));
        assert!(!found(&user, "secret"), "a token names its user");
    }

    #[test]
    fn a_token_becomes_a_password() {
        let token = generate(b"ann", None).unwrap();
        let user = user(&[b"on", &[b">", token.as_bytes()].concat()]);
        assert!(found(&user, &token));
        assert_eq!(of_user(&user, token.as_bytes()).unwrap(), token);
        assert_ne!(generate(b"ann", None).unwrap(), token);
    }

    #[test]
    fn nobody_comes_in_without_a_password_of_his_own() {
        for rules in [&[&b"on"[..], b"nopass"][..], &[b"off", b">secret"], &[b"on"]] {
            let user = user(rules);
            assert!(!found(&user, &write(b"ann", b"secret")), "{rules:?}");
            assert!(of_user(&user, b"secret").is_none(), "{rules:?}");
        }
        for token in ["", "ev_", "ev_.", "ev_YW5u", "ev_YW5u.", "ev_!.!", "YW5u.c2VjcmV0"] {
            assert!(!found(&user(&[b"on", b">secret"]), token), "{token}");
        }
    }

    #[test]
    fn weak_passwords_make_no_token() {
        for weak in ["", "secret", "12345678901234", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababab"]
        {
            assert_eq!(generate(b"ann", Some(weak.as_bytes())), Err(TooWeak), "{weak}");
        }
        for strong in
            ["correct horse battery", "Xk29dTq8LmWz0p", "0123456789abcdef0123456789abcdef"]
        {
            assert!(generate(b"ann", Some(strong.as_bytes())).is_ok(), "{strong}");
        }
    }
}
