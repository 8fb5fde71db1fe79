//! Files that commands write and read whole.

use crate::failure::Failure;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Whether a file holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Nobody but its owner may read it.
    Secret,
    Open,
}

/// Writes a file that must not be there yet.
pub(crate) fn create(path: &Path, bytes: &[u8], secrecy: Secrecy) -> Result<(), Failure> {
    make_folder(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secrecy == Secrecy::Secret {
        // From its first moment: a mode that is set later leaves a gap.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::exists(path),
        _ => Failure::io("write", path, &error),
    })
}

/// Refuses where a file is there that a later step would have to create.
pub(crate) fn refuse_if_there(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() { Err(Failure::exists(path)) } else { Ok(()) }
}

/// Writes a file, or puts it in the place of another. Whoever reads meanwhile sees the one or the other, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    make_folder(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".leasehold-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Failure::io("write", path, &error))
}

/// Writes a folder of files that is not there yet, or empty: whole, or not at all. Their names are paths below it, of plain
/// characters.
pub(crate) fn create_folder<'a>(
    path: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), Failure> {
    make_folder(path)?;
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".leasehold-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
        let folder = builder.tempdir_in(beside)?;
        for (name, bytes) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap_or(folder.path()))?;
            fs::write(file, bytes)?;
        }
        // An empty one makes room; one that is not empty by now stays.
        match fs::remove_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(folder.path(), path)
    };
    write().map_err(|error| Failure::io("write", path, &error))
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))
        }
        _ => Ok(()),
    }
}

/// Reads a file of at most so many bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let read = || -> io::Result<Vec<u8>> {
        // A pipe or device would be waited for, or never end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::other(format!("it is larger than {most} bytes")));
        }
        Ok(bytes)
    };
    read().map_err(|error| Failure::io("read", path, &error))
}
