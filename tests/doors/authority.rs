//! An authority of the tests' own, and clients that trust it.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::resp::ANSWER_TIMEOUT;

/// A client's connection.
pub(crate) type Secret = StreamOwned<ClientConnection, TcpStream>;

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// An authority, with a folder for its files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// Files of a certificate and of its key.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("eave-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("there is room for files");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().expect("there is randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can be signed");
        fs::write(folder.join("ca.pem"), issuer.pem()).expect("there is room for files");
        Authority { issuer, folder }
    }

    /// The file of its own certificate.
    pub(crate) fn file(&self) -> String {
        shown(&self.folder.join("ca.pem"))
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Issues a certificate for this machine under `name`, into files of that name.
    pub(crate) fn issue(&self, name: &str) -> Files {
        let key = KeyPair::generate().expect("there is randomness");
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names are right");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let [at, of_key] = ["crt", "key"].map(|end| self.folder.join(format!("{name}.{end}")));
        fs::write(&at, certificate.pem()).expect("there is room for files");
        fs::write(&of_key, key.serialize_pem()).expect("there is room for files");
        Files { certificate: shown(&at), key: shown(&of_key) }
    }

    /// Connects as a client that trusts this authority; the handshake is done with the first use.
    pub(crate) fn connect(&self, address: SocketAddr, own: Option<&Files>) -> Secret {
        self.connect_with(address, own, &[])
    }

    /// Likewise, offering these protocols.
    pub(crate) fn connect_with(
        &self,
        address: SocketAddr,
        own: Option<&Files>,
        protocols: &[&str],
    ) -> Secret {
        let config = Arc::new(self.config(own, protocols));
        let name = ServerName::try_from("localhost").expect("it is a name");
        let connection = ClientConnection::new(config, name).expect("it is right");
        let socket = TcpStream::connect(address).expect("somebody listens");
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("it can be set");
        StreamOwned::new(connection, socket)
    }

    /// What a client is set up with.
    pub(crate) fn config(&self, own: Option<&Files>, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is an authority");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let certificate = CertificateDer::from_pem_file(&files.certificate);
                let key = PrivateKeyDer::from_pem_file(&files.key).expect("it was written");
                let chain = vec![certificate.expect("it was written")];
                builder.with_client_auth_cert(chain, key).expect("they go together")
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for that.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The name of the certificate that the server has shown.
pub(crate) fn shown_by(client: &mut Secret) -> Vec<u8> {
    client.flush().expect("the handshake is done");
    let shown = client.conn.peer_certificates().expect("the handshake is done");
    shown[0].to_vec()
}

/// The certificate in a file.
pub(crate) fn in_file(files: &Files) -> Vec<u8> {
    CertificateDer::from_pem_file(&files.certificate).expect("it was written").to_vec()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
