//! A user as a line of rules, from which the same user can be made again.
//!
//! Only the set of allowed commands is kept, not the words that made it. As in Redis, they are
//! found anew: whichever category fits best, again and again, and single commands for the rest.

use super::catalog::{CATEGORIES, catalog};
use super::selector::{Selector, shown_key};
use super::user::{Sanitize, User};

impl User {
    /// The flags, as ACL GETUSER names them.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        flags.extend(self.sanitize.map(|sanitize| match sanitize {
            Sanitize::Yes => "sanitize-payload",
            Sanitize::Skip => "skip-sanitize-payload",
        }));
        flags
    }

    /// The line of ACL LIST and of files.
    pub fn line(&self) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = vec![b"user".to_vec(), self.name.to_vec()];
        words.extend(self.flags().into_iter().map(|flag| flag.as_bytes().to_vec()));
        words.extend(self.passwords.iter().map(|hash| format!("#{}", hash.digits()).into_bytes()));
        for (at, selector) in self.selectors.iter().enumerate() {
            let text = selector.line();
            words.push(if at == 0 { text } else { [b"(", text.as_slice(), b")"].concat() });
        }
        words.join(&b' ')
    }
}

impl Selector {
    /// Its rules.
    pub fn line(&self) -> Vec<u8> {
        let mut words = Vec::new();
        let keys = self.key_rules();
        if !keys.is_empty() {
            words.push(keys);
        }
        if !self.all_channels {
            words.push(b"resetchannels".to_vec());
        }
        let channels = self.channel_rules();
        if !channels.is_empty() {
            words.push(channels);
        }
        words.push(self.command_rules().into_bytes());
        words.join(&b' ')
    }

    /// The rules of keys.
    pub fn key_rules(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        self.keys.iter().map(shown_key).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules of channels.
    pub fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let channels = self.channels.iter().map(|channel| [b"&", &**channel].concat());
        channels.collect::<Vec<_>>().join(&b' ')
    }

    /// The rules of commands: found from the set, not remembered.
    pub fn command_rules(&self) -> String {
        let adds = !self.commands.has_future();
        let mut rules = vec![if adds { "-@all" } else { "+@all" }.to_owned()];
        // What the rules so far make, and what of the selector no category has spoken of yet.
        let mut made = Selector::NOTHING;
        made.reset_commands(!adds);
        let mut open = Selector { commands: self.commands.clone(), ..Selector::NOTHING };
        let mut applied = 0u32;
        while let Some(at) = best_category(&open, adds, applied) {
            let bit = 1 << at;
            rules.push(format!("{}@{}", if adds { '+' } else { '-' }, CATEGORIES[at]));
            made.set_category(bit, adds);
            open.set_category(bit, !adds);
            applied |= bit;
        }
        for (number, known) in catalog().all().iter().enumerate() {
            let allowed = self.commands.has(number);
            if made.commands.has(number) != allowed {
                rules.push(format!("{}{}", if allowed { '+' } else { '-' }, known.name));
                made.set_command(number, allowed);
            }
            if !allowed {
                let words = self.first_arguments.get(&number).into_iter().flatten();
                rules.extend(
                    words.map(|word| format!("+{}|{}", known.name, String::from_utf8_lossy(word))),
                );
            }
        }
        rules.join(" ")
    }
}

/// The category of which more commands fit than do not: the one with the fewest that do not, and
/// of these the one with the most that do.
fn best_category(open: &Selector, adds: bool, applied: u32) -> Option<usize> {
    let mut best: Option<(usize, usize, usize)> = None;
    for at in (0..CATEGORIES.len()).filter(|at| applied & 1 << at == 0) {
        let commands = catalog().all().iter().enumerate();
        let of_it = commands.filter(|(_, known)| known.categories & 1 << at != 0);
        let (mut fit, mut differ) = (0, 0);
        for (number, _) in of_it {
            if open.commands.has(number) == adds { fit += 1 } else { differ += 1 }
        }
        let better =
            best.is_none_or(|(_, least, most)| differ < least || (differ == least && fit > most));
        if fit > differ && better {
            best = Some((at, differ, fit));
        }
    }
    best.map(|(at, ..)| at)
}
