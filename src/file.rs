//! Files that are whole at every moment: a new one is written beside the old one, synced, and then takes
//! its place, so that not even a crash leaves a part of one.
//!
//! This parks the thread: from tasks by `spawn_blocking` only, or where a request asks for a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Puts what `write` writes in the place of the file at `path`. Who may read the old file may read the new
/// one; one that was not there is its owner's alone.
///
/// # Errors
/// What the system says; the file is then as it was.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let beside = beside(path);
    let written = write_to(&beside, path, write);
    if written.is_err() {
        // It may not have come to be, and what is left of it is nobody's.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_to(
    beside: &Path,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(beside)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    let mut file = BufWriter::new(file);
    write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    fs::rename(beside, path)?;
    // That the name stands for the new file is a fact of the folder.
    File::open(folder(path))?.sync_all()
}

/// The name of the file that is being written. It is the same in every run on one machine's process number,
/// and truncated: what a killed process has left does not add up for ever.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    name.into()
}

/// The folder that a file is in.
pub fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_or_stays_as_it_was() {
        let home = std::env::temp_dir().join(format!("eave-file-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        let path = home.join("f");
        replace(&path, |file| file.write_all(b"one")).unwrap();
        let failed = replace(&path, |file| {
            file.write_all(b"half of tw")?;
            Err(io::Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(&home).unwrap();
    }
}
