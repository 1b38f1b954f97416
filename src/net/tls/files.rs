//! Certificates and keys from PEM files. An error names the directive and the file, never what
//! the file holds.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use crate::config::TlsSettings;

type Certificates = Vec<CertificateDer<'static>>;

/// The certificates of a file, in its order.
pub(super) fn certificates(directive: &'static str, path: &str) -> Result<Certificates, TlsError> {
    let fail = |why: &dyn std::fmt::Display| failed(directive, path, why);
    if path.is_empty() {
        return Err(fail(&"it has to be set"));
    }
    let found = read(Path::new(path)).map_err(|error| fail(&error))?;
    if found.is_empty() { Err(fail(&"there is no certificate in it")) } else { Ok(found) }
}

/// The key of a file.
pub(super) fn key(directive: &'static str, path: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    if path.is_empty() {
        return Err(failed(directive, path, &"it has to be set"));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => failed(directive, path, &"there is no key in it"),
        pem::Error::Io(error) => failed(directive, path, &error),
        _ => failed(directive, path, &"it is no PEM file"),
    })
}

/// The authorities that certificates of others must come from.
pub(super) fn authorities(settings: &TlsSettings) -> Result<RootCertStore, TlsError> {
    let TlsSettings { ca_cert_file: file, ca_cert_dir: folder, .. } = settings;
    let mut roots = RootCertStore::empty();
    if !file.is_empty() {
        add(&mut roots, certificates("tls-ca-cert-file", file)?);
    }
    if !folder.is_empty() {
        let fail = |error: std::io::Error| failed("tls-ca-cert-dir", folder, &error);
        for entry in std::fs::read_dir(folder).map_err(fail)? {
            // What is no certificate is something else that lies there.
            add(&mut roots, read(&entry.map_err(fail)?.path()).unwrap_or_default());
        }
    }
    if roots.is_empty() {
        return Err(TlsError::Setting(
            "tls-ca-cert-file or tls-ca-cert-dir has to name an authority for tls-auth-clients, \
             rest-tls-auth-clients and tls-replication",
        ));
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, certificates: Certificates) {
    let (_, unusable) = roots.add_parsable_certificates(certificates);
    if unusable > 0 {
        tracing::warn!("{unusable} certificates of authorities cannot be used");
    }
}

fn read(path: &Path) -> Result<Certificates, pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}

fn failed(directive: &'static str, path: &str, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::File(format!("{directive} '{path}'"), why.to_string())
}
