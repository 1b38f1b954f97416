//! Links between replicas and the leader: ordered, delayed, of limited room, and fragile.

use std::collections::VecDeque;

use eave_replication::leader::FollowerId;

use crate::rng::Rng;

/// Bytes that fit into one direction of a link, as into socket buffers.
const ROOM: usize = 3000;

/// One direction of a link.
#[derive(Default)]
pub(crate) struct Pipe {
    packets: VecDeque<(u64, Vec<u8>)>,
    len: usize,
    latest_ms: u64,
    /// Takes what fits, and nothing of it arrives.
    broken: bool,
}

impl Pipe {
    /// Takes as many bytes as fit, to arrive after a random delay, and says how many.
    pub(crate) fn send(&mut self, bytes: &[u8], now_ms: u64, rng: &mut Rng) -> usize {
        let taken = bytes.len().min(ROOM - self.len);
        self.len += taken;
        if taken > 0 && !self.broken {
            self.latest_ms = self.latest_ms.max(now_ms + rng.below(60));
            self.packets.push_back((self.latest_ms, bytes[..taken].to_vec()));
        }
        taken
    }

    /// What has arrived, or its beginning, cut off anywhere.
    pub(crate) fn receive(&mut self, now_ms: u64, rng: &mut Rng) -> Vec<u8> {
        let mut arrived = Vec::new();
        while let Some((_, mut packet)) = self.packets.pop_front_if(|(at_ms, _)| *at_ms <= now_ms) {
            let rest = match rng.once_in(5) {
                true => packet.split_off(rng.size(packet.len())),
                false => Vec::new(),
            };
            arrived.append(&mut packet);
            if !rest.is_empty() {
                self.packets.push_front((now_ms, rest));
                break;
            }
        }
        self.len -= arrived.len();
        arrived
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Loses the last packets under way, and all that follow.
    fn cut(&mut self, rng: &mut Rng) {
        self.broken = true;
        // What is lost still fills its room, as unacknowledged bytes do.
        self.packets.truncate(rng.size(self.packets.len()));
        if let Some((_, last)) = self.packets.back_mut() {
            last.truncate(rng.size(last.len()));
        }
    }
}

/// A connection of one replica to the leader.
pub(crate) struct Link {
    pub(crate) id: FollowerId,
    pub(crate) replica: usize,
    pub(crate) to_leader: Pipe,
    pub(crate) to_replica: Pipe,
    /// When each side learns that the other is gone; `None` while it is not.
    pub(crate) leader_notices_ms: Option<u64>,
    pub(crate) replica_notices_ms: Option<u64>,
    /// It was cut.
    pub(crate) broken: bool,
    pub(crate) leader_left: bool,
    pub(crate) replica_left: bool,
}

impl Link {
    pub(crate) fn new(id: FollowerId, replica: usize) -> Self {
        Self {
            id,
            replica,
            to_leader: Pipe::default(),
            to_replica: Pipe::default(),
            leader_notices_ms: None,
            replica_notices_ms: None,
            broken: false,
            leader_left: false,
            replica_left: false,
        }
    }

    /// Breaks at any byte; each side may notice soon, late, or never.
    pub(crate) fn cut(&mut self, now_ms: u64, rng: &mut Rng) {
        self.broken = true;
        self.to_leader.cut(rng);
        self.to_replica.cut(rng);
        self.leader_notices_ms = notice(now_ms, rng);
        self.replica_notices_ms = notice(now_ms, rng);
    }

    pub(crate) fn leave_leader(&mut self, now_ms: u64, rng: &mut Rng) {
        self.leader_left = true;
        if !self.broken {
            self.replica_notices_ms.get_or_insert(now_ms + rng.below(100));
        }
    }

    pub(crate) fn leave_replica(&mut self, now_ms: u64, rng: &mut Rng) {
        self.replica_left = true;
        if !self.broken {
            self.leader_notices_ms.get_or_insert(now_ms + rng.below(100));
        }
    }
}

fn notice(now_ms: u64, rng: &mut Rng) -> Option<u64> {
    (!rng.once_in(4)).then(|| now_ms + rng.below(3000))
}
