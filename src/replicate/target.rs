//! Whom a node follows, for the tasks that have to do with it.
//!
//! tokio's `watch` would do, but wakes its watchers in an order by chance, and then no seed of a
//! simulation is one run. Here they wake in the order in which they have begun to wait.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::Leader;

/// The node that is followed, if one is.
#[derive(Debug, Default)]
pub struct Target {
    aimed: Mutex<Aimed>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Aimed {
    leader: Option<Leader>,
    /// How often it was set.
    times: u64,
}

impl Target {
    /// Who it is now.
    pub fn get(&self) -> Option<Leader> {
        self.aimed.lock().leader.clone()
    }

    /// Sets it, and tells those who watch, be it another or not.
    pub(crate) fn set(&self, leader: Option<Leader>) {
        let mut aimed = self.aimed.lock();
        aimed.leader = leader;
        aimed.times += 1;
        drop(aimed);
        self.changed.notify_waiters();
    }

    /// Watches it from here on.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { target: self, seen: self.aimed.lock().times }
    }
}

/// One who watches.
pub(super) struct Watch<'a> {
    target: &'a Target,
    seen: u64,
}

impl Watch<'_> {
    /// Who it is now; from here on only a later change counts.
    pub(super) fn look(&mut self) -> Option<Leader> {
        let aimed = self.target.aimed.lock();
        self.seen = aimed.times;
        aimed.leader.clone()
    }

    /// Waits until it is set again.
    pub(super) async fn changed(&mut self) {
        loop {
            // From here on no change is missed.
            let told = self.target.changed.notified();
            let times = self.target.aimed.lock().times;
            if times != self.seen {
                self.seen = times;
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_once_however_early_it_comes() {
        let target = Target::default();
        let leader = || Some(Leader { host: "a".into(), port: 1 });
        let mut watch = target.watch();
        target.set(leader());
        watch.changed().await;
        assert_eq!(target.get(), leader());
        tokio::join!(watch.changed(), async {
            tokio::task::yield_now().await;
            target.set(None);
        });
        assert_eq!(watch.look(), None);
        target.set(leader());
        assert_eq!(watch.look(), leader());
        let late = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(late, watch.changed()).await.is_err());
    }
}
