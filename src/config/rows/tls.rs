//! The directives of TLS.

use super::{INT, put, row};
use crate::config::table::{Directive, Group::Tls};
use crate::config::tls::ClientAuth;

/// Those that act, sorted by name.
pub(in crate::config) const ROWS: &[Directive] = &[
    row(Tls, "rest-tls-auth-clients", "Certificates of clients of rest-tls-port").choice(
        &ClientAuth::NAMES,
        |c| c.tls.rest_auth_clients as usize,
        |c, index| c.tls.rest_auth_clients = ClientAuth::ALL[index],
    ),
    row(Tls, "rest-tls-port", "TCP port of the REST API over TLS; 0 = off").at_start().number(
        0,
        65535,
        |c| c.tls.rest_port.into(),
        |c, v| put(&mut c.tls.rest_port, v),
    ),
    row(Tls, "tls-auth-clients", "Certificates of clients of tls-port").choice(
        &ClientAuth::NAMES,
        |c| c.tls.auth_clients as usize,
        |c, index| c.tls.auth_clients = ClientAuth::ALL[index],
    ),
    row(Tls, "tls-ca-cert-dir", "Folder of PEM files of authorities")
        .text(|c| &c.tls.ca_cert_dir, |c, v| c.tls.ca_cert_dir = v),
    row(Tls, "tls-ca-cert-file", "PEM file of the authorities that others' certificates come from")
        .text(|c| &c.tls.ca_cert_file, |c, v| c.tls.ca_cert_file = v),
    row(Tls, "tls-cert-file", "PEM file of this node's certificate and those above it")
        .text(|c| &c.tls.cert_file, |c, v| c.tls.cert_file = v),
    row(Tls, "tls-ciphers", "Ciphers of TLS 1.2 by OpenSSL's names, with colons; empty = all")
        .text(|c| &c.tls.ciphers, |c, v| c.tls.ciphers = v),
    row(Tls, "tls-ciphersuites", "Cipher suites of TLS 1.3, with colons; empty = all")
        .text(|c| &c.tls.ciphersuites, |c, v| c.tls.ciphersuites = v),
    row(Tls, "tls-client-cert-file", "PEM file of the certificate towards the leader")
        .text(|c| &c.tls.client_cert_file, |c, v| c.tls.client_cert_file = v),
    row(Tls, "tls-client-key-file", "PEM file of its key")
        .text(|c| &c.tls.client_key_file, |c, v| c.tls.client_key_file = v),
    row(Tls, "tls-client-key-file-pass", "Encrypted keys are not available")
        .fixed("", "encrypted keys cannot be read"),
    row(Tls, "tls-cluster", "Cluster mode is not available")
        .fixed("no", "there is no cluster mode"),
    row(Tls, "tls-key-file", "PEM file of this node's key")
        .text(|c| &c.tls.key_file, |c, v| c.tls.key_file = v),
    row(Tls, "tls-key-file-pass", "Encrypted keys are not available")
        .fixed("", "encrypted keys cannot be read"),
    row(Tls, "tls-port", "TCP port of the Redis protocol over TLS; 0 = off").at_start().number(
        0,
        65535,
        |c| c.tls.port.into(),
        |c, v| put(&mut c.tls.port, v),
    ),
    row(Tls, "tls-prefer-server-ciphers", "The node's order of ciphers counts")
        .yes_no(|c| c.tls.prefer_server_ciphers, |c, v| c.tls.prefer_server_ciphers = v),
    row(Tls, "tls-protocols", "Versions, of TLSv1.2 and TLSv1.3; empty = both")
        .text(|c| &c.tls.protocols, |c, v| c.tls.protocols = v),
    row(Tls, "tls-replication", "Speak TLS with the leader")
        .yes_no(|c| c.tls.replication, |c, v| c.tls.replication = v),
    row(Tls, "tls-session-cache-size", "Sessions that are kept to be resumed").number(
        0,
        INT,
        |c| c.tls.session_cache_size.into(),
        |c, v| put(&mut c.tls.session_cache_size, v),
    ),
    row(Tls, "tls-session-caching", "Whether sessions can be resumed")
        .yes_no(|c| c.tls.session_caching, |c, v| c.tls.session_caching = v),
];
