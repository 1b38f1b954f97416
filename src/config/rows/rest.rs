//! The REST door.

use super::{BYTES, INT, UINT, join, put, row, wide};
use crate::config::table::Directive;
use crate::config::table::Group::Rest;
use crate::config::value::{BigIntegers, BindAddress};
use crate::rest::limits::headers::XRateLimit;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] = &[
    row(
        Rest,
        "rest-big-integers",
        "How integers beyond 2^53 - 1 are written: as strings, which JavaScript does not round",
    )
    .choice(
        &["string", "number"],
        |c| usize::from(c.rest_big_integers == BigIntegers::Number),
        |c, index| c.rest_big_integers = [BigIntegers::String, BigIntegers::Number][index],
    ),
    row(Rest, "rest-bind", "Addresses of the REST port; empty = those of bind").at_start().words(
        "<address>...",
        |c| join(&c.rest_bind),
        |c, words, _| {
            c.rest_bind = BindAddress::parse_all(words)?;
            Ok(())
        },
    ),
    row(Rest, "rest-cors", "Let browsers call from pages of other origins")
        .yes_no(|c| c.rest_cors, |c, v| c.rest_cors = v),
    row(Rest, "rest-header-timeout-ms", "Milliseconds in which the head of a request must arrive")
        .number(
            1,
            INT,
            |c| wide(c.rest_header_timeout_ms, INT),
            |c, v| put(&mut c.rest_header_timeout_ms, v),
        ),
    row(Rest, "rest-idempotency-bytes", "Bytes of answers kept for requests that are sent again")
        .bytes(
            0,
            BYTES,
            |c| c.rest_idempotency_bytes,
            |c, v| put(&mut c.rest_idempotency_bytes, v),
        ),
    row(
        Rest,
        "rest-idempotency-window",
        "Seconds that a request with an Idempotency-Key is not run again; 0 = keys are ignored",
    )
    .number(
        0,
        UINT,
        |c| c.rest_idempotency_window.into(),
        |c, v| put(&mut c.rest_idempotency_window, v),
    ),
    row(Rest, "rest-idle-timeout", "Seconds that a connection may stay open between requests")
        .number(1, INT, |c| c.rest_idle_timeout.into(), |c, v| put(&mut c.rest_idle_timeout, v)),
    row(Rest, "rest-max-body", "Largest body of a request").bytes(
        1024,
        BYTES,
        |c| c.rest_max_body,
        |c, v| put(&mut c.rest_max_body, v),
    ),
    row(Rest, "rest-max-connections", "HTTP connections at once").number(
        1,
        UINT,
        |c| c.rest_max_connections.into(),
        |c, v| put(&mut c.rest_max_connections, v),
    ),
    row(
        Rest,
        "rest-max-connections-per-address",
        "HTTP connections of one address at once; 0 = as many as there may be of all",
    )
    .number(
        0,
        UINT,
        |c| c.rest_max_connections_per_address.into(),
        |c, v| put(&mut c.rest_max_connections_per_address, v),
    ),
    row(Rest, "rest-max-gathered", "Bytes of all bodies that have come in part").bytes(
        1024,
        BYTES,
        |c| c.rest_max_gathered,
        |c, v| put(&mut c.rest_max_gathered, v),
    ),
    row(Rest, "rest-max-pipeline", "Commands in one pipeline or transaction").number(
        1,
        UINT,
        |c| c.rest_max_pipeline.into(),
        |c, v| put(&mut c.rest_max_pipeline, v),
    ),
    row(Rest, "rest-max-requests", "Requests at once that wait for their bodies or their turn")
        .number(1, UINT, |c| c.rest_max_requests.into(), |c, v| put(&mut c.rest_max_requests, v)),
    row(Rest, "rest-metrics-bind", "Addresses of the port for metrics; empty = this machine's")
        .at_start()
        .words(
            "<address>...",
            |c| join(&c.rest_metrics_bind),
            |c, words, _| {
                c.rest_metrics_bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        ),
    row(Rest, "rest-metrics-port", "TCP port of /metrics without a token; 0 = off")
        .at_start()
        .number(0, 65535, |c| c.rest_metrics_port.into(), |c, v| put(&mut c.rest_metrics_port, v)),
    row(Rest, "rest-path-prefix", "What may stand before every path, such as /redis")
        .text(|c| &c.rest_path_prefix, |c, v| c.rest_path_prefix = v),
    row(Rest, "rest-port", "TCP port of the REST API; 0 = off").at_start().number(
        0,
        65535,
        |c| c.rest_port.into(),
        |c, v| put(&mut c.rest_port, v),
    ),
    row(Rest, "rest-token", "Token for REST; empty = a random one, printed at start")
        .at_start()
        .secret(|c| &c.rest_token, |c, v| c.rest_token = v),
    row(Rest, "rest-token-readonly", "Token for REST that may only read; empty = none")
        .at_start()
        .secret(|c| &c.rest_token_readonly, |c, v| c.rest_token_readonly = v),
    row(Rest, "rest-x-ratelimit", "X-RateLimit-* headers, with Reset as a time or as a span")
        .choice(
            XRateLimit::NAMES,
            |c| c.rest_x_ratelimit as usize,
            |c, index| {
                let all = [XRateLimit::No, XRateLimit::Epoch, XRateLimit::Delta];
                c.rest_x_ratelimit = all.get(index).copied().unwrap_or_default();
            },
        ),
    row(Rest, "rls-bind", "Addresses of Envoy's rate limit service; empty = this machine's")
        .at_start()
        .words(
            "<address>...",
            |c| join(&c.rls_bind),
            |c, words, _| {
                c.rls_bind = BindAddress::parse_all(words)?;
                Ok(())
            },
        ),
    row(Rest, "rls-port", "TCP port of Envoy's rate limit service v3 (gRPC, /json); 0 = off")
        .at_start()
        .number(0, 65535, |c| c.rls_port.into(), |c, v| put(&mut c.rls_port, v)),
];
