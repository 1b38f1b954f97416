//! What Envoy asks: `ShouldRateLimit` over gRPC, by an HTTP/2 client that knows no more than bytes, and
//! the same as JSON.

use std::net::SocketAddr;

use bytes::Bytes;
use eave::envoy::wire::{
    Code, Descriptor, DescriptorStatus, Entry, Override, RateLimitRequest, RateLimitResponse, Unit,
};
use hyper::Request;
use prost::Message as _;
use tokio::net::TcpStream;

use crate::start;
use crate::support::server::Server;
use crate::support::server::free_address;

const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// A server with the service on a port of its own.
fn with_service() -> (Server, SocketAddr) {
    let free = free_address();
    (start(&["--rls-port", &free.port().to_string()]), free)
}

/// What a call comes to: gRPC's status, and the message if there is one.
type Called = (String, Option<RateLimitResponse>);

/// Calls a method with a body as it is, over a connection of its own.
fn call(address: SocketAddr, method: &str, body: Vec<u8>) -> Called {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::post(format!("http://x{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let mut client = client.ready().await.unwrap();
        let (response, mut stream) = client.send_request(request, false).unwrap();
        stream.send_data(Bytes::from(body), true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let early = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while let Some(part) = body.data().await {
            let part = part.unwrap();
            body.flow_control().release_capacity(part.len()).unwrap();
            bytes.extend_from_slice(&part);
        }
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        let status = early.or_else(|| trailers.get("grpc-status").cloned()).unwrap();
        driver.abort();
        let message = bytes.get(5..).map(|message| RateLimitResponse::decode(message).unwrap());
        (status.to_str().unwrap().to_owned(), message)
    })
}

/// A message with gRPC's five bytes in front.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

fn should(address: SocketAddr, request: &RateLimitRequest) -> RateLimitResponse {
    let (status, message) = call(address, METHOD, framed(&request.encode_to_vec()));
    assert_eq!(status, "0");
    message.unwrap()
}

fn descriptor(entries: &[(&str, &str)]) -> Descriptor {
    let entry =
        |(key, value): &(&str, &str)| Entry { key: (*key).to_owned(), value: (*value).to_owned() };
    Descriptor { entries: entries.iter().map(entry).collect(), ..Descriptor::default() }
}

fn request(descriptors: Vec<Descriptor>) -> RateLimitRequest {
    RateLimitRequest { domain: "edge".to_owned(), descriptors, hits_addend: 0 }
}

fn over(status: &DescriptorStatus) -> bool {
    status.code == Code::OverLimit as i32
}

#[test]
fn descriptors_are_limited_by_named_rules() {
    let (eave, address) = with_service();
    let mut client = eave.connect().unwrap();
    for args in [
        ["edge/remote_address", "2/1m"],
        ["edge/client=gold/path", "5/1h"],
        ["edge/client/path", "1/1h"],
    ] {
        client.call(&[&["RL.RULE", "SET"][..], &args].concat()).unwrap();
    }
    client.call(&["RL.RULE", "SET", "edge/remote_address", "9/1m", "FOR", "10.0.0.9"]).unwrap();
    let by_address = request(vec![descriptor(&[("remote_address", "10.0.0.1")])]);
    for left in [1, 0] {
        let passed = should(address, &by_address);
        assert_eq!(passed.overall_code, Code::Ok as i32);
        let status = &passed.statuses[0];
        let limit = status.current_limit.clone().unwrap();
        let named = (limit.requests_per_unit, limit.unit, &*limit.name);
        assert_eq!(named, (2, Unit::Minute as i32, "edge/remote_address"));
        assert_eq!(status.limit_remaining, left);
        assert!((1..=61).contains(&status.duration_until_reset.unwrap().seconds));
        assert!(passed.response_headers_to_add.iter().any(|header| header.key == "ratelimit"));
    }
    let refused = should(address, &by_address);
    assert_eq!(refused.overall_code, Code::OverLimit as i32);
    assert!(refused.response_headers_to_add.iter().any(|header| header.key == "retry-after"));
    // Another address, one with a limit of its own, and what no rule is meant for.
    let others = request(vec![
        descriptor(&[("remote_address", "10.0.0.2")]),
        descriptor(&[("remote_address", "10.0.0.9")]),
        descriptor(&[("nobody", "knows")]),
    ]);
    let passed = should(address, &others);
    assert_eq!(passed.overall_code, Code::Ok as i32);
    assert_eq!(passed.statuses[1].limit_remaining, 8);
    assert_eq!(passed.statuses[2].current_limit, None);
    // All or nothing: what is refused takes from none.
    let both = request(vec![
        descriptor(&[("remote_address", "10.0.0.9")]),
        descriptor(&[("remote_address", "10.0.0.1")]),
    ]);
    let refused = should(address, &both);
    assert!(!over(&refused.statuses[0]) && over(&refused.statuses[1]));
    assert_eq!(refused.statuses[0].limit_remaining, 8);
    // The most specific name wins.
    for (client, limit) in [("gold", 5), ("iron", 1)] {
        let passed =
            should(address, &request(vec![descriptor(&[("client", client), ("path", "/")])]));
        let status = &passed.statuses[0];
        assert_eq!(status.current_limit.as_ref().unwrap().requests_per_unit, limit);
        assert_eq!(status.limit_remaining, limit - 1);
    }
}

#[test]
fn a_request_says_how_much_and_may_bring_its_limit_along() {
    let (_eave, address) = with_service();
    let limit = Some(Override { requests_per_unit: 10, unit: Unit::Hour as i32 });
    let own = Descriptor { limit, ..descriptor(&[("user", "alice")]) };
    let ask = |hits, descriptor: &Descriptor| {
        let asked = RateLimitRequest { hits_addend: hits, ..request(vec![descriptor.clone()]) };
        let answer = should(address, &asked);
        (over(&answer.statuses[0]), answer.statuses[0].limit_remaining)
    };
    assert_eq!(ask(0, &own), (false, 9));
    assert_eq!(ask(4, &own), (false, 5));
    assert_eq!(ask(6, &own), (true, 5));
    let more = Descriptor { hits_addend: Some(5), ..own.clone() };
    assert_eq!(ask(1, &more), (false, 0));
    let back = Descriptor { is_negative_hits: true, ..more };
    assert_eq!(ask(1, &back), (false, 5));
    let looks = Descriptor { hits_addend: Some(0), ..own.clone() };
    assert_eq!(ask(1, &looks), (false, 5));
    let closed = Some(Override { requests_per_unit: 0, unit: Unit::Hour as i32 });
    assert_eq!(ask(1, &Descriptor { limit: closed, ..own }), (true, 0));
}

#[test]
fn what_is_wrong_is_told_and_costs_nothing() {
    let (eave, address) = with_service();
    let empty = RateLimitRequest::default();
    assert_eq!(call(address, METHOD, framed(&empty.encode_to_vec())).0, "3");
    assert_eq!(call(address, METHOD, framed(&request(vec![]).encode_to_vec())).0, "3");
    let bare = request(vec![Descriptor::default()]);
    assert_eq!(call(address, METHOD, framed(&bare.encode_to_vec())).0, "3");
    let many = request(vec![descriptor(&[("a", "b")]); 129]);
    assert_eq!(call(address, METHOD, framed(&many.encode_to_vec())).0, "3");
    assert_ne!(call(address, METHOD, framed(b"\xff\xff\xff")).0, "0");
    assert_ne!(call(address, METHOD, b"\x00\xff\xff\xff\xff".to_vec()).0, "0");
    assert_eq!(call(address, "/envoy.service.ratelimit.v3.Other/Do", framed(b"")).0, "12");
    assert_eq!(eave.connect().unwrap().call(&["PING"]).unwrap().to_string(), "PONG");
}

/// As envoyproxy/ratelimit answers it.
#[test]
fn json_says_the_same() {
    use std::io::{Read as _, Write as _};
    let (eave, address) = with_service();
    eave.connect().unwrap().call(&["RL.RULE", "SET", "edge/user", "1/1d"]).unwrap();
    let ask = |body: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let body = r#"{"domain":"edge","descriptors":[{"entries":[{"key":"user","value":"a"}]}]}"#;
    let passed = ask(body);
    assert!(passed.starts_with("HTTP/1.1 200 ") && passed.contains("\"overallCode\":\"OK\""));
    assert!(passed.contains("\"requestsPerUnit\":1,\"unit\":\"DAY\""), "{passed}");
    let refused = ask(body);
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("OVER_LIMIT"), "{refused}");
    assert!(ask("{").starts_with("HTTP/1.1 400 "));
    assert!(ask("{}").starts_with("HTTP/1.1 400 "));
}
