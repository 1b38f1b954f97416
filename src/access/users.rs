//! The registry of users.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::log::Log;
use super::throttle::Throttle;
use super::user::{DEFAULT, NewChannels, User};
use crate::config::Config;

/// The user of the read-only token, as Upstash calls it.
pub const READ_ONLY: &[u8] = b"default_ro";

/// What it may do: read keys that it names, and speak about its own connection. Not walk all
/// keys, and not what tells of the server or of others.
const READ_ONLY_RULES: &[&[u8]] = &[
    b"on",
    b"resetchannels",
    b"~*",
    b"+@read",
    b"+@connection",
    b"-@dangerous",
    b"-scan",
    b"-randomkey",
];

/// All users at one moment, in the order of their names. There always is a default user.
#[derive(Clone, Debug)]
pub struct Users {
    all: BTreeMap<Box<[u8]>, Arc<User>>,
    default: Arc<User>,
}

impl Users {
    /// Only the default user.
    pub fn new(default: User) -> Users {
        let default = Arc::new(default);
        Users { all: BTreeMap::from([(default.name.clone(), Arc::clone(&default))]), default }
    }

    /// The user called `name`.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.all.get(name)
    }

    /// The user that every connection starts as.
    pub fn default(&self) -> &Arc<User> {
        &self.default
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.all.values()
    }

    /// Adds a user, or puts it in the place of the one with its name.
    pub fn insert(&mut self, user: User) {
        let user = Arc::new(user);
        if *user.name == *DEFAULT {
            self.default = Arc::clone(&user);
        }
        self.all.insert(user.name.clone(), user);
    }

    fn remove(&mut self, name: &[u8]) -> Option<Arc<User>> {
        if name == DEFAULT { None } else { self.all.remove(name) }
    }
}

/// Users, with what is remembered of those who were refused.
#[derive(Debug)]
pub struct Access {
    /// Moves on with every change of a user. Never 0.
    generation: AtomicU64,
    users: ArcSwap<Users>,
    /// Held while users are changed: of two changes at once, neither may start from what was
    /// before the other.
    changing: Mutex<()>,
    next_id: AtomicU64,
    /// What was refused.
    pub log: Mutex<Log>,
    /// Who guesses passwords.
    pub throttle: Throttle,
}

impl Access {
    /// The users that settings name, without those of the file.
    pub fn new(config: &Config) -> Access {
        let access = Access {
            generation: AtomicU64::new(1),
            users: ArcSwap::from_pointee(Users::new(User::open_default(0))),
            changing: Mutex::new(()),
            next_id: AtomicU64::new(1),
            log: Mutex::default(),
            throttle: Throttle::default(),
        };
        access.change(|users| {
            users.insert(default_of(config));
            users.insert_all(access.built_in(config));
            for line in &config.users {
                // Every rule was tried when the line was read.
                if let Ok(user) = line.make(access.new_id(), config.acl_pubsub_default) {
                    users.insert(user);
                }
            }
        });
        access
    }

    /// The users that are not written down anywhere: that of the read-only token.
    pub(super) fn built_in(&self, config: &Config) -> Option<User> {
        if config.rest_token_readonly.is_empty() {
            return None;
        }
        let mut user = User::new(self.new_id(), READ_ONLY, NewChannels::None);
        user.set_password(config.rest_token_readonly.reveal());
        for rule in READ_ONLY_RULES {
            // Fixed, and held by a test.
            let _ = user.apply(rule, NewChannels::None);
        }
        Some(user)
    }

    /// A number for a user that is made now.
    pub fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Which state of the users this is. A session that has seen it need not look again.
    #[inline]
    pub fn generation(&self) -> u64 {
        // A session that acts upon it reads the users through `users`, which orders the two.
        self.generation.load(Ordering::Relaxed)
    }

    /// The users as they are now.
    pub fn users(&self) -> Guard<Arc<Users>> {
        self.users.load()
    }

    /// Changes users, all or nothing.
    ///
    /// # Errors
    /// What `change` refuses; nothing is changed then.
    pub fn try_change<R, E>(
        &self,
        change: impl FnOnce(&mut Users) -> Result<R, E>,
    ) -> Result<R, E> {
        let _changing = self.changing.lock();
        let mut users = Users::clone(&self.users.load());
        let result = change(&mut users)?;
        self.users.store(Arc::new(users));
        // Behind the users: who sees this generation sees at least these.
        self.generation.fetch_add(1, Ordering::SeqCst);
        Ok(result)
    }

    /// Changes users.
    pub fn change<R>(&self, change: impl FnOnce(&mut Users) -> R) -> R {
        let Ok(result) = self.try_change(|users| Ok::<_, Infallible>(change(users)));
        result
    }

    /// Removes users; answers those that there were. The default user stays.
    pub fn remove(&self, names: &[&[u8]]) -> Vec<Arc<User>> {
        self.change(|users| names.iter().filter_map(|name| users.remove(name)).collect())
    }

    /// Gives the default user the password that `requirepass` names.
    pub fn require_password(&self, password: &[u8]) {
        self.change(|users| {
            let mut user = User::clone(users.default());
            user.set_password(password);
            users.insert(user);
        });
    }
}

impl Users {
    pub(super) fn insert_all(&mut self, users: impl IntoIterator<Item = User>) {
        users.into_iter().for_each(|user| self.insert(user));
    }
}

/// The default user, with the password of `requirepass`.
fn default_of(config: &Config) -> User {
    let mut user = User::open_default(0);
    user.set_password(config.requirepass.reveal());
    user
}
