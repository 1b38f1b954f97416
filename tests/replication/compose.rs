//! docs/regions.compose.yml: it is YAML, what it passes are options of Eave, and the nodes that
//! they start follow each other. Containers themselves are not there to be tested.

use yaml_rust2::{Yaml, YamlLoader};

use crate::Outcome;
use crate::pair::Node;
use crate::support::server::Program;

const FILE: &str = include_str!("../../docs/regions.compose.yml");

/// What stands for `${EAVE_PASSWORD:?...}` and `${EAVE_TOKEN:?...}`.
const SECRETS: [(&str, &str); 2] = [("EAVE_PASSWORD", "password"), ("EAVE_TOKEN", "token")];

/// A key of a service, or else of what it is merged with.
fn entry<'y>(service: &'y Yaml, name: &str) -> &'y Yaml {
    match &service[name] {
        Yaml::BadValue => &service["<<"][name],
        own => own,
    }
}

fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().map(|all| all.iter().filter_map(Yaml::as_str).collect()).unwrap_or_default()
}

/// A value with its variables put in.
fn resolved(text: &str) -> String {
    let Some(inside) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        assert!(!text.contains('$'), "{text}");
        return text.to_owned();
    };
    let (name, otherwise) = inside.split_once(":?").expect("it says what is missing");
    assert!(!otherwise.is_empty());
    let secret = SECRETS.iter().find(|(variable, _)| *variable == name);
    secret.expect("a secret that has a value here").1.to_owned()
}

/// The options that a service starts with: its variables, which are directives too, and its words.
fn options(service: &Yaml, leader: Option<&Node>) -> Vec<String> {
    let mut options = Vec::new();
    let environment = entry(service, "environment").as_hash().expect("variables");
    for (name, value) in environment {
        let name = name.as_str().and_then(|name| name.strip_prefix("EAVE_")).expect("ours");
        options.push(format!("--{}", name.to_lowercase().replace('_', "-")));
        options.push(resolved(value.as_str().expect("a text")));
    }
    let mut words = texts(&service["command"]).into_iter();
    while let Some(word) = words.next() {
        options.push(word.to_owned());
        if word == "--replicaof" {
            let leader = leader.expect("the leader stands first").address();
            assert_eq!((words.next(), words.next()), (Some("fra"), Some("6379")));
            options.extend([leader.ip().to_string(), leader.port().to_string()]);
        }
    }
    options
}

#[test]
fn what_the_compose_file_starts_is_three_regions() -> Outcome {
    let documents = YamlLoader::load_from_str(FILE).map_err(|error| error.to_string())?;
    let services = documents[0]["services"].as_hash().expect("services");
    let names: Vec<&str> = services.keys().filter_map(Yaml::as_str).collect();
    assert_eq!(names, ["fra", "iad", "sin"]);
    let known = [
        "<<",
        "build",
        "command",
        "depends_on",
        "environment",
        "ports",
        "restart",
        "stop_grace_period",
    ];
    let mut nodes: Vec<Node> = Vec::new();
    let mut published = Vec::new();
    for service in services.values() {
        for part in [service, &service["<<"]] {
            for name in part.as_hash().expect("a service").keys().filter_map(Yaml::as_str) {
                assert!(known.contains(&name), "{name}");
            }
        }
        assert_eq!(entry(service, "build")["context"].as_str(), Some(".."));
        for needed in texts(&service["depends_on"]) {
            assert!(names.contains(&needed), "{needed}");
        }
        for port in texts(&service["ports"]) {
            let (outside, inside) = port.split_once(':').expect("a pair");
            // Where the Dockerfile's server listens.
            assert!(["6379", "8079"].contains(&inside), "{port}");
            assert!(!published.contains(&outside), "{port} twice");
            published.push(outside);
        }
        nodes.push(Node::start_with(Program::Eave, &options(service, nodes.first()))?);
    }
    let [fra, iad, sin] = &mut nodes[..] else { panic!("{}", nodes.len()) };
    iad.wait_for("replica_forward_link", "up")?;
    iad.expect("SET greeting hello", "OK")?;
    sin.catch_up(fra)?;
    sin.expect("GET greeting", "\"hello\"")?;
    Ok(())
}
