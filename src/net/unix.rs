//! The socket for clients of this machine.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// A socket that accepts; its file goes when this is dropped.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

/// Opens a socket at `path`, in place of one that an earlier process has left there. Nobody can
/// connect before it has its permissions; a `mode` of 0 leaves those that the umask gives.
///
/// # Errors
/// When the path cannot be used, or is something else than a socket.
pub fn open(path: &str, mode: u32, backlog: u32) -> io::Result<Door> {
    let fail =
        |error: io::Error| io::Error::new(error.kind(), format!("unixsocket {path}: {error}"));
    let path = PathBuf::from(path);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(&path).map_err(fail)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    SockAddr::unix(&path).and_then(|address| socket.bind(&address)).map_err(fail)?;
    if mode != 0 {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(511))?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from_std(socket.into())?;
    Ok(Door { listener, path })
}

impl Door {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts until the node stops; `serve` gets each connection.
    pub async fn accept(self, shutdown: CancellationToken, mut serve: impl FnMut(UnixStream)) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => serve(stream),
                Err(error) => super::listener::rest_after(&error).await,
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Whoever has removed it meanwhile has done what is to be done.
        let _ = fs::remove_file(&self.path);
    }
}
