//! A node as a host of the simulation.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use eave::clock;
use eave::config::{Config, Start};
use eave::engine;
use eave::node::Node;
use eave::resp::RespReply;
use eave::server::Server;
use eave::session::{Door, Session};

use crate::client::PORT;
use crate::reply::{Reply, field};

/// What the simulation has of a node.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    /// Whom it is to follow when it starts.
    pub(crate) follows: Option<IpAddr>,
    /// Options besides those that all have.
    pub(crate) options: Vec<String>,
    /// While it runs.
    pub(crate) node: Option<Arc<Node>>,
}

impl Host {
    /// Asks the node at once, as who sits at its machine could.
    pub(crate) fn ask(&self, words: &[&str]) -> Option<Reply> {
        let node = self.node.as_ref()?;
        let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let client = node.clients.add("operator:0".into(), String::new(), clock::unix_ms());
        let id = client.id;
        let mut session = Session::new(client, Door::Resp, node);
        session.now = clock::unix_ms();
        let mut out = Vec::new();
        let mut reply = RespReply::new(&mut out, session.protocol);
        // Nobody else is under way.
        engine::execute(node, &mut session, &argv, &mut reply).unwrap();
        node.clients.remove(id);
        Reply::first(&out).map(|(reply, _)| reply)
    }

    /// What INFO says.
    pub(crate) fn info(&self) -> String {
        self.ask(&["INFO", "everything"]).map(|reply| reply.text()).unwrap_or_default()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.node.is_some()
    }

    pub(crate) fn leads(&self) -> bool {
        self.is_up() && field(&self.info(), "role") == "master"
    }

    fn config(&self) -> Config {
        let mut words: Vec<String> = OPTIONS.split(' ').map(str::to_owned).collect();
        words.extend(["--port".into(), PORT.to_string()]);
        words.extend(self.options.iter().cloned());
        if let Some(leader) = self.follows {
            words.extend(["--replicaof".into(), leader.to_string(), PORT.to_string()]);
        }
        match Config::from_process(words.into_iter().map(Into::into), std::iter::empty()) {
            Ok(Start::Run(config)) => *config,
            other => panic!("{other:?}"),
        }
    }
}

const OPTIONS: &str = "eave --bind 0.0.0.0 --rest-port 0 --protected-mode no \
    --enable-debug-command yes --repl-ping-replica-period 1";

/// Serves until the node stops.
pub(crate) async fn serve(host: Rc<RefCell<Host>>) -> turmoil::Result {
    let server = Server::bind(host.borrow().config())?;
    host.borrow_mut().node = Some(Arc::clone(server.node()));
    server.run().await;
    host.borrow_mut().node = None;
    Ok(())
}
