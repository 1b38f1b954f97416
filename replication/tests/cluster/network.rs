//! Links between nodes: ordered, delayed, of limited room, and fragile.

use std::collections::VecDeque;

use eave_replication::leader::FollowerId;

use crate::rng::Rng;

/// Bytes that fit into one direction of a link, as into socket buffers.
const ROOM: usize = 2000;

/// One direction of a link.
#[derive(Default)]
pub(crate) struct Pipe {
    packets: VecDeque<(u64, Vec<u8>)>,
    len: usize,
    latest: u64,
}

impl Pipe {
    /// Takes as many bytes as fit, to arrive after a random delay, and says how many.
    fn send(&mut self, bytes: &[u8], now: u64, lost: bool, rng: &mut Rng) -> usize {
        let taken = bytes.len().min(ROOM - self.len);
        if taken > 0 {
            self.len += taken;
            if !lost {
                self.latest = self.latest.max(now + rng.below(80));
                self.packets.push_back((self.latest, bytes[..taken].to_vec()));
            }
        }
        taken
    }

    /// The next packet that has arrived, or its beginning, cut off anywhere.
    fn receive(&mut self, now: u64, rng: &mut Rng) -> Option<Vec<u8>> {
        let (_, mut packet) = self.packets.pop_front_if(|(at, _)| *at <= now)?;
        if rng.once_in(6) {
            let rest = packet.split_off(rng.size(packet.len()));
            if !rest.is_empty() {
                self.packets.push_front((now + 1, rest));
            }
        }
        self.len -= packet.len();
        Some(packet)
    }
}

/// A connection of a replica to the node that it follows. Either side may leave it before the
/// other notices: then a replica has connected anew while its old connection is still served.
pub(crate) struct Link {
    pub(crate) id: FollowerId,
    pub(crate) replica: usize,
    pub(crate) leader: usize,
    up: Pipe,
    down: Pipe,
    /// Nothing arrives any more.
    pub(crate) broken: bool,
    pub(crate) replica_left: bool,
    pub(crate) leader_left: bool,
    /// When each side notices that the other is gone, if not by silence.
    pub(crate) replica_notices: u64,
    pub(crate) leader_notices: u64,
}

impl Link {
    pub(crate) fn new(id: FollowerId, replica: usize, leader: usize) -> Self {
        Self {
            id,
            replica,
            leader,
            up: Pipe::default(),
            down: Pipe::default(),
            broken: false,
            replica_left: false,
            leader_left: false,
            replica_notices: u64::MAX,
            leader_notices: u64::MAX,
        }
    }

    pub(crate) fn send_up(&mut self, bytes: &[u8], now: u64, rng: &mut Rng) -> usize {
        self.up.send(bytes, now, self.broken, rng)
    }

    pub(crate) fn send_down(&mut self, bytes: &[u8], now: u64, rng: &mut Rng) -> usize {
        self.down.send(bytes, now, self.broken, rng)
    }

    pub(crate) fn receive_up(&mut self, now: u64, rng: &mut Rng) -> Option<Vec<u8>> {
        self.up.receive(now, rng)
    }

    pub(crate) fn receive_down(&mut self, now: u64, rng: &mut Rng) -> Option<Vec<u8>> {
        self.down.receive(now, rng)
    }

    /// Breaks: what is under way is lost. Each side notices sooner, later, or by silence only.
    pub(crate) fn cut(&mut self, now: u64, rng: &mut Rng) {
        self.broken = true;
        (self.up.packets, self.down.packets) = (VecDeque::new(), VecDeque::new());
        for at in [&mut self.replica_notices, &mut self.leader_notices] {
            if !rng.once_in(3) {
                *at = (*at).min(now + rng.below(1500));
            }
        }
    }

    pub(crate) fn leave_replica(&mut self, now: u64, rng: &mut Rng) {
        self.replica_left = true;
        self.leader_notices = self.leader_notices.min(now + rng.below(800));
    }

    pub(crate) fn leave_leader(&mut self, now: u64, rng: &mut Rng) {
        self.leader_left = true;
        self.replica_notices = self.replica_notices.min(now + rng.below(800));
    }
}
