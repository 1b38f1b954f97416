//! Listening and connections.

use super::{INT, UINT, join, put, row};
use crate::config::kind::Reason;
use crate::config::table::Directive;
use crate::config::table::Group::Network;
use crate::config::value::BindAddress;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
    row(Network, "bind", "Addresses to listen on; a leading - means: if the machine has it")
        .at_start()
        .words(
            "<address>...",
            |c| join(&c.bind),
            |c, words, _| {
                c.bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        ),
    row(Network, "maxclients", "Connected clients at most").number(
        1,
        UINT,
        |c| c.maxclients.into(),
        |c, v| put(&mut c.maxclients, v),
    ),
    row(Network, "port", "TCP port of the Redis protocol; 0 = off").at_start().number(
        0,
        65535,
        |c| c.port.into(),
        |c, v| put(&mut c.port, v),
    ),
    row(Network, "tcp-backlog", "Connections that may wait to be accepted").at_start().number(
        0,
        INT,
        |c| c.tcp_backlog.into(),
        |c, v| put(&mut c.tcp_backlog, v),
    ),
    row(
        Network,
        "tcp-keepalive",
        "Seconds between probes of a silent connection, read at start; 0 = none",
    )
    .number(0, INT, |c| c.tcp_keepalive.into(), |c, v| put(&mut c.tcp_keepalive, v)),
    row(Network, "timeout", "Seconds after which an idle client is closed; 0 = never").number(
        0,
        INT,
        |c| c.timeout.into(),
        |c, v| put(&mut c.timeout, v),
    ),
    row(Network, "unixsocket", "Path of a socket for clients of this machine; empty = none")
        .at_start()
        .text(|c| &c.unixsocket, |c, v| c.unixsocket = v),
    row(Network, "unixsocketperm", "Permissions of that socket, octal; 0 = as the umask says")
        .at_start()
        .words(
            "<octal>",
            |c| format!("{:o}", c.unixsocketperm),
            |c, words, _| {
                let [word] = words else { return Err(Reason::Count(words.len())) };
                let mode = u32::from_str_radix(word, 8).ok().filter(|mode| *mode <= 0o777);
                c.unixsocketperm =
                    mode.ok_or(Reason::Other("argument must be an octal number up to 777"))?;
                Ok(())
            },
        ),
];
