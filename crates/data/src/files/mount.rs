//! Opens archives: tars are read in place, compressed ones are unpacked into memory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::PoisonError;

use super::{Archive, Files, Place, base, unread};
use crate::DataError;
use crate::archive::{self, Member, Slice};
use crate::gzip::{self, Gzip};

/// The total size in bytes to which compressed archives are unpacked into memory. Without a limit, a small file
/// could grow without bound.
pub(super) const UNPACKED_LIMIT: u64 = 4 << 30;

/// Archives within archives are opened to this depth; ILSVRC-2012 needs one.
const DEPTH_LIMIT: usize = 3;

/// Where an archive's bytes are.
enum Stored<'a> {
    File { number: usize, file: &'a File, offset: u64, length: u64 },
    Memory(&'a [u8]),
}

impl Files {
    /// Adds the members of an archive, each under `prefix`.
    pub(super) fn open_archive(&mut self, path: &Path, prefix: &str) -> Result<(), DataError> {
        let number = self.open.add(path.to_owned());
        let file = self.open.get(number).map_err(DataError::read(path))?;
        let length = file.metadata().map_err(DataError::read(path))?.len();
        let stored = Stored::File { number, file: &file, offset: 0, length };
        self.mount(&stored, prefix, path.display().to_string(), 0)
    }

    /// Adds the members of an archive and of the archives in it.
    fn mount(
        &mut self,
        stored: &Stored<'_>,
        prefix: &str,
        origin: String,
        depth: usize,
    ) -> Result<(), DataError> {
        let first = stored.first().map_err(DataError::read(Path::new(&origin)))?;
        if let Some(kind) = unread::kind(&first) {
            return Err(DataError::file(
                origin,
                format!("is {kind}, which is not read; unpack it and give the folder"),
            ));
        }
        let archive = self.archives.len() as u32;
        self.archives.push(Archive { origin: origin.clone(), prefix: prefix.to_owned() });
        if first.starts_with(&gzip::MAGIC) {
            return match stored {
                Stored::File { file, offset, length, .. } => {
                    self.unpack(Slice::new(file, *offset, *length), archive, depth)
                }
                Stored::Memory(bytes) => self.unpack(*bytes, archive, depth),
            };
        }
        let passed = self.passed.get_mut().unwrap_or_else(PoisonError::into_inner);
        let members = match stored {
            Stored::File { file, offset, length, .. } => {
                archive::members(file, *offset, *length, &origin, passed)?
            }
            Stored::Memory(bytes) => {
                archive::members_of(Cursor::new(*bytes), bytes.len() as u64, &origin, passed)?
            }
        };
        for Member { name, offset, length } in members {
            let member = match stored {
                Stored::File { number, file, .. } => Stored::File { number: *number, file, offset, length },
                Stored::Memory(bytes) => Stored::Memory(&bytes[offset as usize..][..length as usize]),
            };
            self.member(&name, &member, archive, depth)?;
        }
        Ok(())
    }

    /// Adds a member of an archive, or the members of that member.
    fn member(
        &mut self,
        name: &str,
        member: &Stored<'_>,
        archive: u32,
        depth: usize,
    ) -> Result<(), DataError> {
        let Archive { origin, prefix } = &self.archives[archive as usize];
        let whole = format!("{prefix}{name}");
        if depth < DEPTH_LIMIT
            && let Some(stem) = archive_stem(name)
        {
            let (prefix, origin) = (format!("{prefix}{stem}/"), format!("{origin}/{name}"));
            return self.mount(member, &prefix, origin, depth + 1);
        }
        let place = match *member {
            Stored::File { number, offset, length, .. } => Place::Tar { file: number as u32, offset, length },
            Stored::Memory(bytes) => Place::Memory(bytes.to_vec()),
        };
        self.add(whole, place, Some(archive));
        Ok(())
    }

    fn unpack(&mut self, stream: impl Read, archive: u32, depth: usize) -> Result<(), DataError> {
        let origin = self.archives[archive as usize].origin.clone();
        let no_tar =
            |error: io::Error| DataError::file(&origin, format!("not a whole tar.gz archive ({error})"));
        let mut names = BTreeSet::new();
        let mut unpacked = Gzip::new(stream).take(UNPACKED_LIMIT);
        let mut first = Vec::new();
        unpacked.by_ref().take(gzip::MAGIC.len() as u64).read_to_end(&mut first).map_err(no_tar)?;
        if first == gzip::MAGIC {
            return Err(DataError::file(&origin, "is packed by gzip twice; unpack it once"));
        }
        let mut tar = tar::Archive::new(Cursor::new(first).chain(unpacked));
        tar.set_ignore_zeros(true);
        for entry in tar.entries().map_err(no_tar)? {
            let mut entry = entry.map_err(no_tar)?;
            let kind = entry.header().entry_type();
            let at = entry.raw_header_position();
            let problem = |problem: String| DataError::at(&origin, at, problem);
            let passed = self.passed.get_mut().unwrap_or_else(PoisonError::into_inner);
            let name = archive::member_name(kind, &entry.path_bytes(), passed).map_err(problem)?;
            let Some(name) = name else { continue };
            self.left = self
                .left
                .checked_sub(entry.size())
                .ok_or_else(|| problem("more than 4 GiB unpacked; unpack it and give the folder".into()))?;
            if !names.insert(name.clone()) {
                return Err(problem(format!("`{name}` occurs twice")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(no_tar)?;
            if (bytes.len() as u64) < entry.size() {
                return Err(problem(format!("it ends inside `{name}`")));
            }
            self.member(&name, &Stored::Memory(&bytes), archive, depth)?;
        }
        // The rest is padding and the checksum.
        io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(no_tar)?;
        Ok(())
    }
}

impl Stored<'_> {
    /// Returns the first bytes.
    fn first(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::File { file, offset, length, .. } => {
                Slice::new(file, *offset, *length).take(8).read_to_end(&mut bytes)?;
            }
            Self::Memory(all) => bytes.extend_from_slice(&all[..all.len().min(8)]),
        }
        Ok(bytes)
    }
}

/// Returns an archive's name without its extension.
pub(super) fn archive_stem(name: &str) -> Option<&str> {
    [".tar", ".tar.gz", ".tgz"]
        .iter()
        .filter_map(|ending| {
            let at = name.len().checked_sub(ending.len())?;
            name.get(at..)?.eq_ignore_ascii_case(ending).then_some(&name[..at])
        })
        .find(|stem| !base(stem).is_empty())
}
