//! A node without sockets, and clients that are threads of shuttle.

use std::sync::Arc;
use std::task::{Wake, Waker};

use eave::clock;
use eave::config::Config;
use eave::engine;
use eave::keyspace::locks::Contended;
use eave::node::Node;
use eave::resp::RespReply;
use eave::session::{Door, Session};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread::{self, JoinHandle, Thread};

/// Schedules of each kind, unless the environment says otherwise.
const SCHEDULES: usize = 300;

/// How often a schedule of the second kind changes threads where it need not.
const CHANGES: usize = 3;

/// Runs a test over many schedules, or over the one that is to be repeated.
pub(crate) fn explore(test: impl Fn(Arc<Node>) + Send + Sync + 'static) {
    let run = Arc::new(move || test(Node::new(config())));
    if let Ok(schedule) = std::env::var("EAVE_SCHEDULE") {
        return with(ReplayScheduler::new_from_encoded(&schedule), &run);
    }
    let count = std::env::var("EAVE_SCHEDULES").ok().and_then(|count| count.parse().ok());
    let count = count.unwrap_or(SCHEDULES);
    with(RandomScheduler::new(count), &run);
    with(PctScheduler::new(CHANGES, count), &run);
}

/// Runs a test over the schedules of a scheduler.
fn with(scheduler: impl Scheduler + 'static, run: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = shuttle::Config::new();
    // A node is put together on the stack, and shuttle's 32 KiB have no room for it.
    config.stack_size = 256 * 1024;
    let run = Arc::clone(run);
    shuttle::Runner::new(scheduler, config).run(move || run());
}

fn config() -> Config {
    let mut config = Config::default();
    config.databases = 2;
    config
}

/// Wakes a thread of shuttle.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// One client.
pub(crate) struct Client {
    pub(crate) node: Arc<Node>,
    pub(crate) session: Session,
}

impl Client {
    pub(crate) fn new(node: &Arc<Node>) -> Client {
        let client = node.clients.add("here".into(), String::new(), 0);
        let session = Session::new(client, Door::Resp, node);
        Client { node: Arc::clone(node), session }
    }

    /// Sends a command and answers its reply, waiting for it if the command waits.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let reply = self.send(line);
        if self.session.waiting.is_some() { self.wait() } else { reply }
    }

    /// Sends a command; the reply is empty when the client now waits.
    pub(crate) fn send(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.session.now = clock::unix_ms();
        loop {
            let mut out = Vec::new();
            let mut reply = RespReply::new(&mut out, self.session.protocol);
            match engine::execute(&self.node, &mut self.session, &words, &mut reply) {
                Ok(()) => return text(&out),
                Err(Contended) => thread::yield_now(),
            }
        }
    }

    /// Waits as a connection does: it registers, looks, and sleeps until it is woken.
    pub(crate) fn wait(&mut self) -> String {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            self.session.client.register(&waker);
            let mut out = Vec::new();
            if engine::resume(&self.node, &mut self.session, &mut out) {
                return text(&out);
            }
            thread::park();
        }
    }

    /// Waits for messages.
    pub(crate) fn listen(&mut self) -> String {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            self.session.client.register(&waker);
            let mut out = Vec::new();
            self.session.client.take_messages(&mut out);
            if !out.is_empty() {
                return text(&out);
            }
            thread::park();
        }
    }
}

impl Drop for Client {
    /// Leaves as a connection does.
    fn drop(&mut self) {
        // A test that has failed is not helped by another schedule.
        if std::thread::panicking() {
            return;
        }
        engine::forget_watches(&self.node, &mut self.session);
        engine::forget_wait(&self.node, &mut self.session);
        self.session.forget_subscriptions(&self.node);
        self.node.clients.remove(self.session.client.id);
    }
}

/// A reply on one line.
fn text(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).trim_end().replace("\r\n", " ")
}

/// A thread that asks commands.
pub(crate) struct Asking {
    thread: JoinHandle<Vec<String>>,
    done: Arc<AtomicBool>,
}

impl Asking {
    /// Its replies, once it has all.
    pub(crate) fn join(self) -> Vec<String> {
        self.thread.join().expect("it ends")
    }
}

/// Asks commands one after the other in a thread of their own.
pub(crate) fn asking(node: &Arc<Node>, lines: &'static [&'static str]) -> Asking {
    let (node, done) = (Arc::clone(node), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&done);
    let thread = thread::spawn(move || {
        let mut client = Client::new(&node);
        let replies = lines.iter().map(|line| client.ask(line)).collect();
        ended.store(true, Ordering::Release);
        replies
    });
    Asking { thread, done }
}

/// Asks commands one after the other.
pub(crate) fn ask_all(node: &Arc<Node>, lines: &[&str]) -> Vec<String> {
    let mut client = Client::new(node);
    lines.iter().map(|line| client.ask(line)).collect()
}

/// What threads have answered.
pub(crate) fn joined(threads: Vec<Asking>) -> Vec<Vec<String>> {
    threads.into_iter().map(Asking::join).collect()
}

/// Asks commands again and again until threads end; answers what those have answered.
pub(crate) fn until_done(
    node: &Arc<Node>,
    threads: Vec<Asking>,
    lines: &[&str],
) -> Vec<Vec<String>> {
    let mut client = Client::new(node);
    while !threads.iter().all(|asking| asking.done.load(Ordering::Acquire)) {
        lines.iter().for_each(|line| _ = client.ask(line));
        thread::yield_now();
    }
    joined(threads)
}
