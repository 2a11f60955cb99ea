use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::hook;

/// Writes a file under another name, syncs it, renames it and syncs the folder. The file is complete or absent,
/// even after a power cut, and readers see the old file or the new one. Its permissions follow the process's umask.
/// A link remains a link.
///
/// # Errors
/// The operating system's error; nothing is left behind then. An existing target that is not a regular file, such
/// as a pipe or `/dev/stdout`, is refused, because renaming would replace it.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let open = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|open| path.starts_with(open));
    if open || fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("no regular file, and only those are written whole"));
    }
    let linked = fs::canonicalize(path).ok().filter(|_| path.is_symlink());
    let path = linked.as_deref().unwrap_or(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let builder = &mut tempfile::Builder::new();
    // By default only the owner could access the file.
    #[cfg(unix)]
    let builder = builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(folder)?;
    hook::changed();
    Ok(())
}

/// Makes renames and removals in a folder survive a power cut, if the system can sync folders.
///
/// # Errors
/// The operating system's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems cannot sync folders, and a folder may be writable but not readable.
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_stay_and_what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        atomic_write(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for no_file in [socket.as_path(), folder.path(), Path::new("/dev/stdout")] {
            assert!(atomic_write(no_file, b"lost").unwrap_err().to_string().starts_with("no regular file"));
        }
        assert!(!fs::metadata(&socket).unwrap().is_file());
        // A broken link is replaced.
        fs::remove_file(&target).unwrap();
        atomic_write(&link, b"whole").unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"whole");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_any_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [whole, plain] = ["whole", "plain"].map(|name| folder.path().join(name));
        std::fs::write(&plain, "1").unwrap();
        atomic_write(&whole, b"0").unwrap();
        atomic_write(&whole, b"1").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&whole), mode(&plain));
        assert_eq!(std::fs::read(&whole).unwrap(), b"1");
        assert!(atomic_write(&plain.join("inside a file"), b"1").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
