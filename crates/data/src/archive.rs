//! Lists the members of a tar without unpacking it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::{DataError, PassedOver, clutter};

/// The kind under which devices, sockets and pipes are counted.
pub(crate) const NO_FILES: &str = "devices, sockets and pipes";

/// A regular file in a tar, by the position of its bytes in the file that contains the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A section of a file. It is read by position, so threads can share the file.
pub(crate) struct Slice<'a> {
    file: &'a File,
    start: u64,
    length: u64,
    at: u64,
}

impl<'a> Slice<'a> {
    pub(crate) fn new(file: &'a File, start: u64, length: u64) -> Self {
        Self { file, start, length, at: 0 }
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = read_at(self.file, &mut buffer[..want], self.start + self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Slice<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into()) // WebAssembly has no files
}

/// Fills `buffer` with the bytes from `offset`.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    Slice::new(file, offset, buffer.len() as u64).read_exact(buffer)
}

/// Returns the regular files of the tar that occupies `length` bytes of `file` from `start`. Clutter is counted
/// instead. Messages call the tar `origin`.
///
/// # Errors
/// If the tar is cut short, empty or not a tar, or a name cannot be trusted: it is not UTF-8, leads outside the
/// archive, occurs twice or belongs to a link.
pub(crate) fn members(
    file: &File,
    start: u64,
    length: u64,
    origin: &str,
    passed: &mut PassedOver,
) -> Result<Vec<Member>, DataError> {
    members_of(Slice::new(file, start, length), length, origin, passed).map(|mut members| {
        members.iter_mut().for_each(|member| member.offset += start);
        members
    })
}

/// Does the same as [`members`] for any seekable reader. Offsets count from its start.
pub(crate) fn members_of(
    stream: impl Read + Seek,
    length: u64,
    origin: &str,
    passed: &mut PassedOver,
) -> Result<Vec<Member>, DataError> {
    let no_tar = |error: io::Error| {
        let error = error.to_string().replace(char::is_control, " ");
        DataError::file(origin, format!("not a whole tar archive ({error})"))
    };
    let mut archive = tar::Archive::new(stream);
    // Concatenated archives are read as one, as `tar --concatenate` writes them.
    archive.set_ignore_zeros(true);
    let mut members: Vec<Member> = Vec::new();
    let mut empty = true;
    for entry in archive.entries_with_seek().map_err(no_tar)? {
        let entry = entry.map_err(no_tar)?;
        let header = entry.raw_header_position();
        let kind = entry.header().entry_type();
        let kept = member_name(kind, &entry.path_bytes(), passed);
        empty &= kind.is_dir();
        let Some(name) = kept.map_err(|problem| DataError::at(origin, header, problem))? else { continue };
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(DataError::at(
                origin,
                header,
                format!("not a whole tar archive: it ends inside `{name}`"),
            ));
        }
        members.push(Member { name, offset, length: size });
    }
    if empty {
        return Err(DataError::file(origin, "not a tar archive, or it holds no file"));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = members.iter().find(|member| !names.insert(member.name.as_str())) {
        return Err(DataError::at(origin, twice.offset, format!("`{}` occurs twice", twice.name)));
    }
    Ok(members)
}

/// Returns the name of a member of this kind, or `None` if it is not read: a folder, or a kind that is counted.
///
/// # Errors
/// If the name cannot be trusted, or the member's data are not its own (links and sparse files).
pub(crate) fn member_name(
    kind: tar::EntryType,
    path: &[u8],
    passed: &mut PassedOver,
) -> Result<Option<String>, String> {
    let name = name(path)?;
    if kind.is_dir() || kind.is_pax_global_extensions() {
        return Ok(None);
    }
    if let Some(clutter) = clutter::kind(&name) {
        passed.add(clutter, 1);
        return Ok(None);
    }
    if kind.is_symlink() || kind.is_hard_link() {
        return Err(format!("`{name}` is a link, which is not followed; pack the file itself"));
    }
    if kind.is_gnu_sparse() {
        return Err(format!("`{name}` is packed as a sparse file; pack it whole"));
    }
    if !kind.is_file() && !kind.is_contiguous() {
        passed.add(NO_FILES, 1);
        return Ok(None);
    }
    Ok(Some(name))
}

/// Returns a member's name if it can be trusted.
pub(crate) fn name(bytes: &[u8]) -> Result<String, String> {
    let name = std::str::from_utf8(bytes)
        .map_err(|_| format!("the name `{}` is not UTF-8", String::from_utf8_lossy(bytes).escape_debug()))?;
    let name = name.replace('\\', "/");
    let inside = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>();
    if name.starts_with('/') || inside.contains(&"..") || name.contains('\0') {
        return Err(format!("the name `{}` leads out of the archive", name.escape_debug()));
    }
    Ok(inside.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Builds a tar of these members. Each has a kind and, if it is a link, a target.
    fn tar(members: &[(&[u8], tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, body) in members {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(*kind);
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, *body).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Member>, String> {
        members_of(Cursor::new(bytes), bytes.len() as u64, "a.tar", &mut PassedOver::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_found_where_they_lie() {
        let bytes = tar(&[
            (b"./a/x.jpg", tar::EntryType::Regular, b"one"),
            (b"a", tar::EntryType::Directory, b""),
            (b"b.jpg", tar::EntryType::Regular, b"second"),
        ]);
        let found = read(&bytes).unwrap();
        let texts = found.iter().map(|m| (m.name.as_str(), &bytes[m.offset as usize..][..m.length as usize]));
        assert_eq!(texts.collect::<Vec<_>>(), [("a/x.jpg", &b"one"[..]), ("b.jpg", b"second")]);
    }

    #[test]
    fn clutter_is_counted_and_not_read() {
        use tar::EntryType::{Regular, Symlink};
        let bytes = tar(&[
            (b"._a.jpg", Regular, b"junk"),
            (b"a.jpg", Regular, b"1"),
            (b"a/._a.jpg", Regular, b"junk"),
            (b"PaxHeaders.7/a.jpg", Regular, b"27 mtime=1"),
            (b".latest", Symlink, b""),
            (b"caf\xc3\xa9/Thumbs.db", Regular, b"x"),
        ]);
        let mut passed = PassedOver::default();
        let members = members_of(Cursor::new(&bytes), bytes.len() as u64, "a.tar", &mut passed).unwrap();
        assert_eq!(members.len(), 1);
        let expected = "5 files passed over: 2 AppleDouble, 1 hidden, 1 tar headers, 1 thumbnails";
        assert_eq!(passed.to_string(), expected);
    }

    #[test]
    fn names_that_cannot_be_trusted_are_refused_with_their_place() {
        use tar::EntryType::{Link, Regular, Symlink};
        let first: (&[u8], _, &[u8]) = (b"fine.jpg", Regular, b"1");
        for (member, expected) in [
            (
                (&b"../out.jpg"[..], Regular, &b"2"[..]),
                "a.tar: at byte 1024: the name `../out.jpg` leads out",
            ),
            ((b"/etc/x.jpg", Regular, b"2"), "at byte 1024: the name `/etc/x.jpg` leads out"),
            ((b"a/../../x.jpg", Regular, b"2"), "leads out"),
            ((b"caf\xe9.jpg", Regular, b"2"), "is not UTF-8"),
            ((b"s.jpg", Symlink, b""), "at byte 1024: `s.jpg` is a link"),
            ((b"h.jpg", Link, b""), "is a link"),
            ((b"fine.jpg", Regular, b"2"), "`fine.jpg` occurs twice"),
        ] {
            let error = read(&tar(&[first, member])).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn cut_short_at_any_place_it_is_no_whole_archive() {
        let bytes =
            tar(&[(b"a.jpg", tar::EntryType::Regular, &[7; 700]), (b"b.jpg", tar::EntryType::Regular, b"2")]);
        // After the end of the last member only zeros are missing.
        for length in (0..2560 - 511).step_by(64) {
            let found = read(&bytes[..length]);
            let whole = matches!(&found, Ok(members) if members.len() == 2);
            assert!(!whole, "{length} bytes");
        }
        assert!(read(&[b'x'; 4096]).unwrap_err().contains("not a whole tar archive"));
        assert!(read(&[]).unwrap_err().contains("holds no file"));
    }
}
