//! Where a node is, and as whom to speak to it: `redis://[user:password@]host[:port][/database]`.
//!
//! Left out on purpose: printing of user and password, in any form.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::config::Secret;

/// The port of a node that is named without one.
const PORT: u16 = 6379;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `rediss://`.
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Secret,
    /// The one database that is meant; `None` = all.
    pub(super) database: Option<u32>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Address {
    /// Whether a text is meant to be a URL of a node.
    pub(super) fn is_url(text: &str) -> bool {
        text.contains("://")
    }

    /// Reads a URL, or a mere `host:port`. The error says what is wrong and shows no password.
    pub(super) fn parse(text: &str) -> Result<Address, &'static str> {
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            Some(_) => return Err("a URL begins with redis:// or rediss://"),
        };
        let (rest, _) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
        let (place, path) = match rest.rsplit_once('@') {
            // A blank or slash may stand in a password that was not encoded.
            Some((_, behind)) => {
                let place = behind.split_once('/').map_or(behind, |(place, _)| place);
                (place, behind.split_once('/').map(|(_, path)| path))
            }
            None => {
                let split = rest.split_once('/');
                (split.map_or(rest, |(place, _)| place), split.map(|(_, path)| path))
            }
        };
        let (user, password) = match rest.rsplit_once('@') {
            Some((who, _)) => credentials(who)?,
            None => (None, Secret::default()),
        };
        let (host, port) = host_and_port(place)?;
        let database = match path {
            None | Some("") => None,
            Some(number) => Some(number.parse().map_err(|_| "a database is a number")?),
        };
        Ok(Address { tls, host, port, user, password, database })
    }

    /// The request that authenticates; `None` when there is no password.
    pub(super) fn auth(&self) -> Option<Vec<&[u8]>> {
        if self.password.is_empty() {
            return None;
        }
        let user = self.user.as_ref().map(String::as_bytes);
        let words = [Some(b"AUTH".as_slice()), user, Some(self.password.reveal())];
        Some(words.into_iter().flatten().collect())
    }
}

fn credentials(who: &str) -> Result<(Option<String>, Secret), &'static str> {
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let (user, password) =
        who.split_once(':').ok_or("before @ stands user:password or :password")?;
    let user = String::from_utf8(decoded(user)).map_err(|_| "the user is no text")?;
    Ok(((!user.is_empty()).then_some(user), Secret::new(decoded(password))))
}

fn host_and_port(place: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or("a [ without its ]")?;
            let port = match behind {
                "" => None,
                _ => Some(behind.strip_prefix(':').ok_or("behind ] stands :port")?),
            };
            (host, port)
        }
        // More than one colon without brackets: the address alone.
        None if place.matches(':').count() > 1 => (place, None),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    let port = match port {
        None => PORT,
        Some(port) => port.parse().map_err(|_| "a port is a number from 1 to 65535")?,
    };
    if port == 0 {
        return Err("a port is a number from 1 to 65535");
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<String>, Vec<u8>, Option<u32>, bool) {
        let address = Address::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let shown = address.to_string();
        let password = address.password.reveal().to_vec();
        (shown, address.user, password, address.database, address.tls)
    }

    #[test]
    fn urls_are_those_of_redis() {
        let none = Vec::new();
        assert_eq!(read("redis://h"), ("h:6379".into(), None, none.clone(), None, false));
        assert_eq!(read("h:1"), ("h:1".into(), None, none.clone(), None, false));
        assert_eq!(read("redis://h:7/3"), ("h:7".into(), None, none.clone(), Some(3), false));
        assert_eq!(
            read("rediss://:p%40%3A@h/"),
            ("h:6379".into(), None, b"p@:".to_vec(), None, true)
        );
        let ada = Some("ada".to_owned());
        assert_eq!(
            read("redis://ada:a/b@c@[::1]:9/0"),
            ("[::1]:9".into(), ada, b"a/b@c".to_vec(), Some(0), false)
        );
        assert_eq!(read("::1"), ("[::1]:6379".into(), None, none, None, false));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for text in [
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h:65536",
            "redis://h/x",
            "redis://a@h",
            "redis://[::1",
            "redis://[::1]6379",
            "redis://u:secret@h:x",
        ] {
            let why = Address::parse(text).expect_err(text);
            assert!(!why.contains("secret"), "{text}: {why}");
        }
        assert!(!format!("{:?}", Address::parse("redis://u:secret@h")).contains("secret"));
    }
}
