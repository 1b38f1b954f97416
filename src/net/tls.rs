//! TLS: certificates, and the handshake of a connection.
//!
//! What the files say is put together once, at start and whenever a directive or SIGHUP asks for
//! it, and swapped as a whole: connections that stand go on with what they have begun with. The
//! handshake is part of a connection's own task and has a deadline.
//!
//! Left out on purpose: 0-RTT data, which could be sent again by others; encrypted keys.

mod files;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::connection::Connection;
use super::socket::TcpStream;
use super::stream::{HTTP_2, Stream};
use crate::config::{ClientAuth, TlsSettings};

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the last words of TLS may take when a connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of use.
    #[error("{0}: {1}")]
    File(String, String),
    /// A directive is missing, or says what cannot be.
    #[error("{0}")]
    Setting(&'static str),
    /// Certificate and key do not go together, or rustls refuses them.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
    /// The authorities cannot be used.
    #[error("{0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A door that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsDoor {
    /// `tls-port`.
    Resp,
    /// `rest-tls-port`.
    Rest,
}

/// What all connections with TLS share; empty when none is wanted.
#[derive(Debug, Default)]
pub struct Tls(ArcSwapOption<Identity>);

/// What the files say, ready for use.
#[derive(Debug)]
struct Identity {
    resp: Arc<ServerConfig>,
    rest: Arc<ServerConfig>,
    leader: Option<Arc<ClientConfig>>,
}

impl Tls {
    /// Reads the files again; connections from now on get what they say.
    ///
    /// # Errors
    /// What is wrong with them; everything then stays as it was.
    pub fn load(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        let identity = settings.is_used().then(|| Identity::new(settings)).transpose()?;
        self.0.store(identity.map(Arc::new));
        Ok(())
    }

    /// Does the handshake with a client.
    ///
    /// # Errors
    /// When it fails or takes too long.
    pub async fn accept(&self, door: TlsDoor, stream: TcpStream) -> io::Result<Stream> {
        let config = self.0.load().as_ref().map(|identity| match door {
            TlsDoor::Resp => Arc::clone(&identity.resp),
            TlsDoor::Rest => Arc::clone(&identity.rest),
        });
        let config = config.ok_or(io::ErrorKind::ConnectionAborted)?;
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::time::timeout(HANDSHAKE, handshake).await??;
        Ok(Stream::Tls(Box::new(stream.into())))
    }

    /// Does the handshake with the leader `host`.
    ///
    /// # Errors
    /// When it fails or takes too long.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let config = self.0.load().as_ref().and_then(|identity| identity.leader.clone());
        let config = config.ok_or(io::ErrorKind::ConnectionAborted)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = tokio::time::timeout(HANDSHAKE, handshake).await??;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

/// Tells the other side that nothing follows, if there is somebody to be told.
pub async fn farewell(connection: Box<Connection<Stream>>) {
    use tokio::io::AsyncWriteExt as _;
    let (mut stream, _) = connection.into_parts();
    if stream.is_tls() {
        // Who does not listen is not waited for.
        let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
    }
}

impl Identity {
    fn new(settings: &TlsSettings) -> Result<Identity, TlsError> {
        let provider = Arc::new(provider(settings)?);
        let versions = versions(&settings.protocols)?;
        let mut rest = server(settings, settings.rest_auth_clients, &provider, &versions)?;
        rest.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
        let leader =
            settings.replication.then(|| client(settings, &provider, &versions)).transpose()?;
        Ok(Identity {
            resp: Arc::new(server(settings, settings.auth_clients, &provider, &versions)?),
            rest: Arc::new(rest),
            leader: leader.map(Arc::new),
        })
    }
}

fn server(
    settings: &TlsSettings,
    auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?;
    let builder = match auth {
        ClientAuth::No => builder.with_no_client_auth(),
        _ => {
            let roots = Arc::new(files::authorities(settings)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            let verifier = match auth {
                ClientAuth::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let certificates = files::certificates("tls-cert-file", &settings.cert_file)?;
    let key = files::key("tls-key-file", &settings.key_file)?;
    let mut config = builder.with_single_cert(certificates, key)?;
    config.ignore_client_order = settings.prefer_server_ciphers;
    config.session_storage = if settings.session_caching {
        ServerSessionMemoryCache::new(settings.session_cache_size as usize)
    } else {
        config.send_tls13_tickets = 0;
        Arc::new(NoServerSessionStorage {})
    };
    Ok(config)
}

fn client(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?
        .with_root_certificates(files::authorities(settings)?);
    let own = !settings.client_cert_file.is_empty();
    let (cert, key) = if own {
        (
            files::certificates("tls-client-cert-file", &settings.client_cert_file)?,
            files::key("tls-client-key-file", &settings.client_key_file)?,
        )
    } else {
        (
            files::certificates("tls-cert-file", &settings.cert_file)?,
            files::key("tls-key-file", &settings.key_file)?,
        )
    };
    Ok(builder.with_client_auth_cert(cert, key)?)
}

fn versions(wanted: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions = Vec::new();
    for word in wanted.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => versions.push(&TLS12),
            "tlsv1.3" => versions.push(&TLS13),
            _ => return Err(TlsError::Setting("tls-protocols: only TLSv1.2 and TLSv1.3 exist")),
        }
    }
    Ok(if versions.is_empty() { vec![&TLS13, &TLS12] } else { versions })
}

/// The cryptography, with the cipher suites that are wanted.
fn provider(settings: &TlsSettings) -> Result<CryptoProvider, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| {
        let list = match suite {
            SupportedCipherSuite::Tls12(_) => &settings.ciphers,
            SupportedCipherSuite::Tls13(_) => &settings.ciphersuites,
        };
        is_listed(&format!("{:?}", suite.suite()), list)
    });
    let has =
        |version: fn(&SupportedCipherSuite) -> bool| provider.cipher_suites.iter().any(version);
    if !has(|suite| matches!(suite, SupportedCipherSuite::Tls13(_))) {
        return Err(TlsError::Setting("tls-ciphersuites: none of them is available"));
    }
    if !has(|suite| matches!(suite, SupportedCipherSuite::Tls12(_))) {
        return Err(TlsError::Setting("tls-ciphers: none of them is available"));
    }
    Ok(provider)
}

/// Whether a list with colons names the suite that rustls calls `suite`, such as
/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` or `TLS13_AES_128_GCM_SHA256`. An empty list names all.
fn is_listed(suite: &str, list: &str) -> bool {
    let plain = |name: &str| {
        let name = name.to_ascii_uppercase().replace(['_', '-'], "");
        name.replace("TLS13", "TLS").replace("WITH", "")
    };
    let suite = plain(suite);
    // OpenSSL leaves out what goes without saying.
    let short = suite.trim_start_matches("TLS");
    let shorter = if short.contains("CHACHA20") { short.trim_end_matches("SHA256") } else { short };
    list.is_empty()
        || list.split(':').map(plain).any(|name| {
            let all = ["DEFAULT", "ALL", "HIGH"].contains(&name.as_str());
            all || name == suite || name == short || name == shorter
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ciphers: &str, ciphersuites: &str) -> Result<Vec<String>, String> {
        let settings = TlsSettings {
            ciphers: ciphers.to_owned(),
            ciphersuites: ciphersuites.to_owned(),
            ..TlsSettings::default()
        };
        let provider = provider(&settings).map_err(|error| error.to_string())?;
        Ok(provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect())
    }

    #[test]
    fn ciphers_have_the_names_of_openssl() {
        assert_eq!(with("", "").map(|all| all.len()), Ok(9));
        assert_eq!(with("DEFAULT:!MEDIUM", "").map(|all| all.len()), Ok(9));
        let some = with(
            "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:AES128-SHA",
            "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
        );
        let mut some = some.expect("there are some");
        some.sort();
        assert_eq!(
            some,
            [
                "TLS13_AES_256_GCM_SHA384",
                "TLS13_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ]
        );
        assert!(with("RC4-MD5", "").is_err() && with("", "TLS_AES_128_CCM_SHA256").is_err());
    }

    #[test]
    fn versions_have_the_names_of_redis() {
        let names = |wanted: &str| {
            versions(wanted).map(|all| all.iter().map(|one| one.version).collect::<Vec<_>>())
        };
        assert_eq!(names("").map_err(|_| ()).map(|all| all.len()), Ok(2));
        assert_eq!(
            names("TLSv1.2 tlsv1.3").ok(),
            Some(vec![rustls::ProtocolVersion::TLSv1_2, rustls::ProtocolVersion::TLSv1_3])
        );
        assert!(names("TLSv1.1").is_err());
    }
}
