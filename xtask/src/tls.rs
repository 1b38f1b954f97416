//! Doors with TLS for a test of clients: an authority of its own, and certificates of the server
//! and of a client that it has signed.
//!
//! A test learns of them from `EAVE_TLS_PORT`, `EAVE_REST_TLS_URL`, `EAVE_TLS_CA`, and of its
//! own certificate from `EAVE_TLS_CERT` and `EAVE_TLS_KEY`. `NODE_EXTRA_CA_CERTS` and
//! `SSL_CERT_FILE` make node and Python trust the authority.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::process;

/// Ports and files of a server that speaks TLS.
pub(crate) struct Doors {
    resp_port: u16,
    rest_port: u16,
    folder: PathBuf,
}

impl Doors {
    /// Picks free ports, and writes the files into a folder of the test's.
    ///
    /// # Errors
    /// When a port or the folder cannot be had.
    pub(crate) fn make(label: &str) -> Result<Doors> {
        let folder = process::scratch()?.join(format!("{label}.tls"));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(folder.join("ca.crt"), authority.pem())?;
        for name in ["server", "client"] {
            issue(&authority, name, &folder)?;
        }
        let (resp_port, rest_port) = (process::free_port()?, process::free_port()?);
        Ok(Doors { resp_port, rest_port, folder })
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// What the server is started with.
    pub(crate) fn options(&self) -> Vec<String> {
        let option = |name: &str, value: String| [format!("--{name}"), value];
        [
            option("tls-port", self.resp_port.to_string()),
            option("rest-tls-port", self.rest_port.to_string()),
            option("tls-cert-file", self.file("server.crt")),
            option("tls-key-file", self.file("server.key")),
            option("tls-ca-cert-file", self.file("ca.crt")),
        ]
        .concat()
    }

    /// What a client test is told.
    pub(crate) fn environment(&self) -> [(&'static str, String); 7] {
        [
            ("EAVE_TLS_PORT", self.resp_port.to_string()),
            ("EAVE_REST_TLS_URL", format!("https://localhost:{}", self.rest_port)),
            ("EAVE_TLS_CA", self.file("ca.crt")),
            ("EAVE_TLS_CERT", self.file("client.crt")),
            ("EAVE_TLS_KEY", self.file("client.key")),
            ("NODE_EXTRA_CA_CERTS", self.file("ca.crt")),
            ("SSL_CERT_FILE", self.file("ca.crt")),
        ]
    }
}

/// Writes a certificate for this machine, and its key.
fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str, folder: &Path) -> Result<()> {
    let mut params = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    std::fs::write(folder.join(format!("{name}.crt")), certificate.pem())?;
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}
