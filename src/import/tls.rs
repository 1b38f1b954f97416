//! TLS towards nodes that are named by `rediss://`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::net::socket::TcpStream;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use super::ImportError;
use crate::net::stream::Stream;

/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// The files that were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) authorities: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// Does the handshake with `host`.
pub(super) async fn connect(files: &Files, host: &str, stream: TcpStream) -> io::Result<Stream> {
    let config = config(files).map_err(io::Error::other)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(Stream::Tls(Box::new(stream.into())))
}

fn config(files: &Files) -> Result<ClientConfig, ImportError> {
    let refuse = |error: rustls::Error| ImportError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refuse)?
        .with_root_certificates(authorities(files)?);
    let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|why| unreadable(key, &why))?;
    builder.with_client_auth_cert(certificates(certificate)?, key).map_err(refuse)
}

fn authorities(files: &Files) -> Result<RootCertStore, ImportError> {
    let system = || SYSTEM.iter().map(PathBuf::from).find(|path| path.is_file());
    let Some(path) = files.authorities.clone().or_else(system) else {
        let why = "no authorities are known here: name them by --tls-ca-cert-file";
        return Err(ImportError::Tls(why.to_owned()));
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(&path)?);
    if added == 0 {
        return Err(unreadable(&path, &"there is no certificate in it"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ImportError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    all.map_err(|why| unreadable(path, &why))
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> ImportError {
    ImportError::Tls(format!("{}: {why}", path.display()))
}
