//! Envoy's rate limit service, version 3: `ShouldRateLimit` over gRPC, and `POST /json` for everybody else.
//!
//! A port of its own, off by default, without TLS and without a token, as Envoy expects it: it is for the
//! machine or the mesh. All that it can do is take from the limits of named rules, as the default
//! user. gRPC is tonic's; a connection that begins with HTTP/2's preface gets that, any other HTTP/1.1.
//!
//! Left out on purpose: the quota service (RLQS), which is not finished, and other versions of this one.

mod decide;
pub mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;

use self::wire::{Code, RateLimitRequest, RateLimitResponse};
use crate::clients::Client;
use crate::engine::{self, Elsewhere};
use crate::fault::Fault;
use crate::limits::{REST_HEAD_BYTES, REST_STREAMS, RLS_BODY_BYTES};
use crate::net::socket::TcpStream;
use crate::node::Node;
use crate::patience::Patience;
use crate::resp::answer::relay;
use crate::rest::limits::status::Collected;
use crate::rest::passes;
use crate::session::{Door, Session};

/// What HTTP/2 connections begin with.
const PREFACE: &[u8] = b"PRI ";

/// How long the first bytes, or the head of a request, may take.
const FIRST_BYTES: Duration = Duration::from_secs(10);

/// Time between two questions whether the client is there, and how long it has to answer.
const PING: Duration = Duration::from_secs(20);

/// The one method that there is.
const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// The body of a response: gRPC's, or a text.
type Body = tonic::body::Body;

/// A connection's session, which its requests share.
struct Desk {
    node: Arc<Node>,
    session: Mutex<Session>,
}

/// Serves a client until it goes or the node stops.
pub async fn serve(node: Arc<Node>, mut stream: TcpStream, client: Arc<Client>) {
    let mut session = Session::new(Arc::clone(&client), Door::Rest, &node);
    session.become_user(Arc::clone(node.access.users().default()));
    let desk = Arc::new(Desk { node: Arc::clone(&node), session: Mutex::new(session) });
    let Some(is_http2) = begins_with_preface(&mut stream).await else { return };
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let io = TokioIo::new(stream);
    let ended = if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(REST_STREAMS)
            .max_header_list_size(REST_HEAD_BYTES as u32)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        until_stopped(&node, &client, builder.serve_connection(io, service)).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(FIRST_BYTES)
            .max_buf_size(REST_HEAD_BYTES);
        until_stopped(&node, &client, builder.serve_connection(io, service)).await
    };
    if let Some(Err(error)) = ended {
        tracing::debug!("client {}: {error}", client.id);
    }
}

/// Whether a connection speaks HTTP/2; nothing if it says nothing.
async fn begins_with_preface(stream: &mut TcpStream) -> Option<bool> {
    let look = async {
        let mut first = [0; PREFACE.len()];
        loop {
            match stream.peek(&mut first).await.ok()? {
                0 => return None,
                read if first[..read] != PREFACE[..read] => return Some(false),
                read if read == PREFACE.len() => return Some(true),
                // Part of it has come: the rest is on its way.
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    tokio::time::timeout(FIRST_BYTES, look).await.ok().flatten()
}

/// Runs a connection until it ends, its client is closed, or the node stops.
async fn until_stopped<E>(
    node: &Node,
    client: &Client,
    connection: impl Future<Output = Result<(), E>>,
) -> Option<Result<(), E>> {
    let mut connection = pin!(connection);
    let closed = std::future::poll_fn(|context| {
        client.register(context.waker());
        if client.is_closing() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = closed => None,
        () = node.shutdown.cancelled() => None,
    }
}

impl Desk {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, METHOD) => {
                let codec =
                    tonic_prost::ProstCodec::<RateLimitResponse, RateLimitRequest>::default();
                let mut grpc =
                    tonic::server::Grpc::new(codec).max_decoding_message_size(RLS_BODY_BYTES);
                grpc.unary(Should(self), request).await
            }
            (&Method::POST, "/json") => self.json(request).await,
            (_, "/json" | METHOD) => text(StatusCode::METHOD_NOT_ALLOWED, String::new()),
            (&Method::GET, "/healthcheck") => text(StatusCode::OK, "OK".to_owned()),
            (_, path) if path.starts_with("/envoy.") || path.starts_with("/grpc.") => {
                tonic::Status::unimplemented("no such method").into_http()
            }
            _ => text(StatusCode::NOT_FOUND, String::new()),
        }
    }

    /// Decides. A busy shard is waited for by letting others run.
    async fn decide(&self, request: &RateLimitRequest) -> Result<RateLimitResponse, Fault> {
        let asked = decide::Asked::read(&self.node, request)?;
        let mut patience = Patience::default();
        loop {
            let mut collected = Collected::default();
            let (ran, elsewhere) = {
                let mut session = self.session.lock();
                let ran = asked.run(&self.node, &mut session, &mut collected);
                // Under the lock under which it came about, or another request would take it.
                (ran, engine::elsewhere::take(&mut session))
            };
            match (ran, elsewhere) {
                (Err(fault @ Fault::Text(_)), _) => return Err(fault),
                (_, Some(elsewhere)) => {
                    let done = matches!(elsewhere, Elsewhere::Errand(_));
                    let visited = engine::elsewhere::visit(&self.node, elsewhere).await;
                    let replies = engine::elsewhere::settle(&mut self.session.lock(), visited);
                    if done {
                        relay(&replies, &mut collected);
                        return asked.answer(&collected);
                    }
                }
                (Ok(()), None) => return asked.answer(&collected),
                (Err(_), None) => patience.wait().await,
            }
        }
    }

    /// `POST /json`, as envoyproxy/ratelimit has it: 200, 429, or 400.
    async fn json(&self, request: Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), RLS_BODY_BYTES).collect();
        let Ok(Ok(body)) = tokio::time::timeout(FIRST_BYTES, body).await else {
            return text(StatusCode::BAD_REQUEST, "the body cannot be read".to_owned());
        };
        let asked: RateLimitRequest = match serde_json::from_slice(&body.to_bytes()) {
            Ok(asked) => asked,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("invalid JSON: {error}")),
        };
        match self.decide(&asked).await {
            Ok(response) => {
                let over = response.overall_code == Code::OverLimit as i32;
                let status = if over { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
                let body = serde_json::to_string(&response).unwrap_or_default();
                let mut answer = text(status, body);
                let kind = HeaderValue::from_static("application/json");
                answer.headers_mut().insert(CONTENT_TYPE, kind);
                answer
            }
            Err(Fault::Text(why)) if !passes(&why) => {
                text(StatusCode::BAD_REQUEST, why.into_owned())
            }
            Err(Fault::Text(why)) => text(StatusCode::SERVICE_UNAVAILABLE, why.into_owned()),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, String::new()),
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer
}

/// The method, as tonic calls it.
struct Should(Arc<Desk>);

/// A future that tonic can hold.
type Answering<T> = Pin<Box<dyn Future<Output = Result<T, tonic::Status>> + Send>>;

impl tonic::server::UnaryService<RateLimitRequest> for Should {
    type Response = RateLimitResponse;
    type Future = Answering<tonic::Response<RateLimitResponse>>;

    fn call(&mut self, request: tonic::Request<RateLimitRequest>) -> Self::Future {
        let desk = Arc::clone(&self.0);
        Box::pin(async move {
            match desk.decide(request.get_ref()).await {
                Ok(response) => Ok(tonic::Response::new(response)),
                Err(Fault::Text(why)) if passes(&why) => {
                    Err(tonic::Status::unavailable(why.into_owned()))
                }
                Err(Fault::Text(why)) => Err(tonic::Status::invalid_argument(why.into_owned())),
                Err(_) => Err(tonic::Status::unavailable("busy")),
            }
        })
    }
}
