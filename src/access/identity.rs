//! Who a session is.

use std::sync::Arc;

use super::user::User;
use super::users::Access;
use crate::session::Door;

/// See the module's description.
#[derive(Debug)]
pub struct Identity {
    /// `None`: the stream of the leader, of which nothing is asked.
    user: Option<Arc<User>>,
    /// Whether the session has said a password, or needed none when it came.
    proven: bool,
    /// The generation of users at which this session need not be asked anything; 0 = ask.
    free_at: u64,
    /// The generation that was looked at last; 0 = none.
    seen: u64,
    /// Whether its user was removed.
    gone: bool,
}

/// What a session finds when users have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may ask, as far as its user may.
    Known,
    /// It has to authenticate first.
    Unknown,
    /// Its user is no more: the connection ends.
    Gone,
}

impl Identity {
    /// That of a session that has just begun.
    pub fn new(access: &Access, door: Door) -> Identity {
        let users = access.users();
        let user = (door != Door::Leader).then(|| Arc::clone(users.default()));
        // Over REST every request says who it is.
        let proven = door != Door::Resp || users.default().is_open();
        Identity { user, proven, free_at: 0, seen: 0, gone: false }
    }

    /// That of a user whose word is not asked for.
    pub fn of(user: Arc<User>) -> Identity {
        Identity { user: Some(user), proven: true, free_at: 0, seen: 0, gone: false }
    }

    /// Whether it may ask for everything, at this generation.
    #[inline]
    pub fn is_free(&self, generation: u64) -> bool {
        self.free_at == generation
    }

    /// Whether it is this very user, perhaps changed since.
    pub fn is(&self, user: &User) -> bool {
        self.user.as_ref().is_some_and(|own| own.id == user.id)
    }

    /// Who it is; the leader is nobody.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.user.as_ref()
    }

    /// Its name, `default` for the leader's stream.
    pub fn name(&self) -> &[u8] {
        self.user.as_ref().map_or(super::user::DEFAULT, |user| &user.name)
    }

    /// Makes it another user, who has said a password.
    pub fn become_user(&mut self, user: Arc<User>) {
        *self = Identity::of(user);
    }

    /// Makes it the default user again.
    pub fn reset(&mut self, access: &Access) {
        *self = Identity::new(access, Door::Resp);
    }

    /// Looks at the users as they are now, if they have changed.
    pub fn refresh(&mut self, access: &Access) -> Standing {
        let generation = access.generation();
        let Some(user) = &self.user else {
            self.free_at = generation;
            return Standing::Known;
        };
        if self.seen != generation && !self.gone {
            match access.users().get(&user.name) {
                Some(now) if now.id == user.id => self.user = Some(Arc::clone(now)),
                _ => self.gone = true,
            }
            self.seen = generation;
        }
        self.free_at = 0;
        if self.gone {
            return Standing::Gone;
        }
        if !self.proven && !access.users().default().is_open() {
            return Standing::Unknown;
        }
        let free = self.user.as_ref().is_some_and(|user| user.is_unrestricted());
        self.free_at = if free { generation } else { 0 };
        Standing::Known
    }

    /// Whether users have changed since it last looked.
    pub fn is_old(&self, access: &Access) -> bool {
        self.user.is_some() && self.seen != access.generation()
    }
}
