//! The settings of TLS.

/// Settings of the doors with TLS; each field is the directive of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// TCP port of the Redis protocol over TLS; 0 = off.
    pub port: u16,
    /// TCP port of the REST door over TLS; 0 = off.
    pub rest_port: u16,
    /// PEM file of the server's certificate, with those between it and its authority behind it.
    pub cert_file: String,
    /// PEM file of its key.
    pub key_file: String,
    /// The certificate that this node shows its leader; empty = the server's.
    pub client_cert_file: String,
    /// Its key.
    pub client_key_file: String,
    /// PEM file of the authorities that certificates of others must come from.
    pub ca_cert_file: String,
    /// Folder of such files.
    pub ca_cert_dir: String,
    /// Whether clients of the Redis protocol show a certificate.
    pub auth_clients: ClientAuth,
    /// Whether clients of the REST door do.
    pub rest_auth_clients: ClientAuth,
    /// Whether the link to the leader is TLS.
    pub replication: bool,
    /// Versions that are spoken, such as `TLSv1.3`; empty = 1.2 and 1.3.
    pub protocols: String,
    /// Ciphers of TLS 1.2, in OpenSSL's names; empty = all that there are.
    pub ciphers: String,
    /// Cipher suites of TLS 1.3; empty = all that there are.
    pub ciphersuites: String,
    /// Whether the server's order of ciphers counts, and not the client's.
    pub prefer_server_ciphers: bool,
    /// Whether sessions can be resumed.
    pub session_caching: bool,
    /// How many sessions are kept for that.
    pub session_cache_size: u32,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            port: 0,
            rest_port: 0,
            cert_file: String::new(),
            key_file: String::new(),
            client_cert_file: String::new(),
            client_key_file: String::new(),
            ca_cert_file: String::new(),
            ca_cert_dir: String::new(),
            auth_clients: ClientAuth::Yes,
            // A token says who asks; browsers and edge functions have no certificates.
            rest_auth_clients: ClientAuth::No,
            replication: false,
            protocols: String::new(),
            ciphers: String::new(),
            ciphersuites: String::new(),
            prefer_server_ciphers: false,
            session_caching: true,
            session_cache_size: 20 * 1024,
        }
    }
}

impl TlsSettings {
    /// Whether anything here speaks TLS.
    pub fn is_used(&self) -> bool {
        self.port != 0 || self.rest_port != 0 || self.replication
    }
}

/// Whether a client shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It is not asked for one.
    No,
    /// It must have one.
    Yes,
    /// One that it shows must be good.
    Optional,
}

impl ClientAuth {
    /// In the order of [`Self::NAMES`].
    pub(super) const ALL: [Self; 3] = [Self::No, Self::Yes, Self::Optional];
    pub(super) const NAMES: [&str; 3] = ["no", "yes", "optional"];
}
