//! What takes how much memory, for INFO and MEMORY.

use std::sync::atomic::Ordering;

use super::memory::Heap;
use crate::clients::Role;
use crate::keyspace::Count;
use crate::node::Node;

/// The figures of one moment, in bytes.
#[derive(Debug)]
pub struct Footprint {
    /// Allocated.
    pub used: u64,
    /// The most that was.
    pub peak: u64,
    /// Allocated when the node had started.
    pub startup: u64,
    /// What the system counts of the process.
    pub rss: u64,
    /// What the allocator says.
    pub heap: Heap,
    /// The backlog of recent writes.
    pub backlog: u64,
    /// What is kept of and for clients.
    pub clients: u64,
    /// How many there are.
    pub client_count: u64,
    /// Likewise of replicas.
    pub replicas: u64,
    /// How many scripts there are.
    pub script_count: usize,
    /// Their texts.
    pub scripts: u64,
    /// The code of function libraries.
    pub functions: u64,
    /// The VMs of both.
    pub vms: u64,
    /// Used databases.
    pub databases: Vec<(usize, Count)>,
}

impl Footprint {
    /// Looks at a node.
    pub fn of(node: &Node) -> Footprint {
        node.memory.refresh();
        let (mut clients, mut client_count, mut replicas) = (0, 0, 0);
        for client in node.clients.list() {
            let bytes = client.memory() as u64;
            if client.role() == Role::Replica {
                replicas += bytes;
            } else {
                clients += bytes;
                client_count += 1;
            }
        }
        let (script_count, scripts) = node.scripts.registry.size();
        let used = node.keyspace.used_databases().into_iter();
        Footprint {
            used: node.memory.used(),
            peak: node.memory.peak(),
            startup: node.memory.startup(),
            rss: super::memory::process_bytes(),
            heap: Heap::read(),
            backlog: node.log.lock().backlog().memory(),
            clients,
            client_count,
            replicas,
            script_count,
            scripts: scripts as u64,
            functions: node.scripts.libraries.set().bytes() as u64,
            vms: node.scripts.vm_bytes.load(Ordering::Relaxed),
            databases: used.map(|db| (db, node.keyspace.count(db))).collect(),
        }
    }

    /// Keys of all databases.
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|(_, count)| count.keys as u64).sum()
    }

    /// What is not values: clients, the backlog, the program itself.
    pub fn overhead(&self) -> u64 {
        let beside = self.startup
            + self.backlog
            + self.clients
            + self.replicas
            + self.scripts
            + self.functions;
        (beside + self.keys() * 32).min(self.used)
    }

    /// Values with their keys.
    pub fn dataset(&self) -> u64 {
        self.used - self.overhead()
    }

    /// What there is beyond the start.
    pub fn used_by_data(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }

    /// Values, in a hundred parts of what there is beyond the start.
    pub fn dataset_percent(&self) -> f64 {
        (self.dataset() as f64 / self.used_by_data().max(1) as f64 * 100.0).min(100.0)
    }

    /// What is in use, in a hundred parts of the most that was.
    pub fn peak_percent(&self) -> f64 {
        self.used as f64 / self.peak.max(1) as f64 * 100.0
    }

    /// How many times of what is in use the process holds.
    pub fn fragmentation(&self) -> f64 {
        self.rss as f64 / self.used.max(1) as f64
    }

    /// Names of ratios in MEMORY STATS, with the greater and the lesser part.
    pub fn ratios(&self) -> [(&'static str, u64, u64); 3] {
        let Heap { allocated, active, resident } = self.heap;
        [
            ("allocator-fragmentation", active, allocated),
            ("allocator-rss", resident, active),
            ("rss-overhead", self.rss, resident),
        ]
    }
}
