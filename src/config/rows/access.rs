//! Users, passwords and failed attempts.

use super::{LONG, put, row, wide};
use crate::access::user::NewChannels;
use crate::config::kind::Reason;
use crate::config::table::Directive;
use crate::config::table::Group::Access;
use crate::config::value::DebugAccess;
use eave_ratelimit::Rule;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
    row(Access, "acl-pubsub-default", "Channels of new users: none, or all of them").choice(
        &["allchannels", "resetchannels"],
        |c| usize::from(c.acl_pubsub_default == NewChannels::None),
        |c, index| {
            c.acl_pubsub_default = if index == 0 { NewChannels::All } else { NewChannels::None };
        },
    ),
    row(Access, "aclfile", "File of users, for ACL LOAD and ACL SAVE; read at start")
        .at_start()
        .text(|c| &c.aclfile, |c, v| c.aclfile = v),
    row(Access, "acllog-max-len", "Entries of ACL LOG").number(
        0,
        LONG,
        |c| wide(c.acllog_max_len, LONG),
        |c, v| put(&mut c.acllog_max_len, v),
    ),
    row(
        Access,
        "auth-failures",
        "Failed attempts to authenticate an address has; off = any number",
    )
    .words(
        "<rule>, or off",
        |c| c.auth_failures.map_or("off".to_owned(), |rule| rule.to_string()),
        |c, words, _| {
            c.auth_failures = match words {
                [off] if off.eq_ignore_ascii_case("off") => None,
                [rule] => Some(
                    Rule::parse(rule.as_bytes())
                        .map_err(|_| Reason::Shape("a rule such as 100/60s, or off"))?,
                ),
                _ => return Err(Reason::Count(words.len())),
            };
            Ok(())
        },
    ),
    row(
        Access,
        "enable-debug-command",
        "Who may use DEBUG: no, local (connections of this machine) or yes",
    )
    .at_start()
    .choice(
        &DebugAccess::NAMES,
        |c| c.enable_debug_command as usize,
        |c, index| c.enable_debug_command = DebugAccess::ALL[index],
    ),
    row(Access, "enable-module-command", "Modules are not available")
        .at_start()
        .fixed("no", "there are no modules"),
    row(Access, "enable-protected-configs", "Protected directives are set at start only")
        .at_start()
        .fixed("no", "protected directives are set at start only"),
    row(Access, "protected-mode", "Serve only this machine while no password is set")
        .yes_no(|c| c.protected_mode, |c, v| c.protected_mode = v),
    row(Access, "requirepass", "Password of the default user; empty = none")
        .secret(|c| &c.requirepass, |c, v| c.requirepass = v),
];
