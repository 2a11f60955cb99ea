//! The files of a data set in folders, in archives or in archives within archives.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::archive::{self, Member, Slice, read_exact_at};
use crate::format::{SNIFFED, sniff};
use crate::gzip::{self, Gzip};
use crate::open_files::OpenFiles;
use crate::{DataError, PassedOver, clutter};

/// The total size in bytes to which compressed archives are unpacked into memory. Without a limit, a small file
/// could grow without bound.
const UNPACKED_LIMIT: u64 = 4 << 30;

/// Archives within archives are opened to this depth; ILSVRC-2012 needs one.
const DEPTH_LIMIT: usize = 3;

/// The beginnings of the names of files that describe a data set.
const DOCUMENTS: [&str; 5] = ["readme", "license", "licence", "copying", "citation"];

/// The number of an archive's members that are compared with files beside it.
const COMPARED: usize = 8;

/// The files of a data set by relative path. They are in a folder, in a tar that is read in place, or in a tar.gz
/// that is unpacked into memory. Archives inside count as folders under their own names without the extension:
/// ILSVRC-2012 is a folder of tars, one of which contains a thousand tars. Files that systems and tools leave
/// behind are not listed but counted.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    /// Sorted by name.
    entries: Vec<Entry>,
    archives: Vec<Archive>,
    /// The tars that are read in place.
    open: OpenFiles,
    /// Empty folders.
    empty: Vec<String>,
    passed: Mutex<PassedOver>,
    /// Bytes that may still be unpacked.
    left: u64,
}

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    place: Place,
    /// The innermost archive that contains it.
    archive: Option<u32>,
    /// Whether the file was read, or will be read as an image.
    used: AtomicBool,
}

#[derive(Debug)]
enum Place {
    Folder,
    Tar { file: u32, offset: u64, length: u64 },
    Memory(Vec<u8>),
}

#[derive(Debug)]
struct Archive {
    /// The archive's name in messages.
    origin: String,
    /// The prefix of its members' names.
    prefix: String,
}

/// Where an archive's bytes are.
enum Stored<'a> {
    File { number: usize, file: &'a File, offset: u64, length: u64 },
    Memory(&'a [u8]),
}

impl Files {
    /// Opens a folder, a `.tar`, a `.tar.gz`, or a parquet file as if it were alone in its folder.
    ///
    /// # Errors
    /// If `path` cannot be read, a link in it is broken, or an archive lies beside its unpacked files. Also if an
    /// archive is cut short, is not a tar, or has names that cannot be trusted.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let mut files = Self {
            root: path.to_owned(),
            entries: Vec::new(),
            archives: Vec::new(),
            open: OpenFiles::default(),
            empty: Vec::new(),
            passed: Mutex::default(),
            left: UNPACKED_LIMIT,
        };
        if path.is_dir() {
            files.list(path, "", &mut Vec::new())?;
        } else if let Some(name) = path.file_name().and_then(|name| name.to_str())
            && name.ends_with(".parquet")
        {
            files.root = path.parent().unwrap_or(Path::new("")).to_owned();
            files.add(name.to_owned(), Place::Folder, None);
        } else {
            files.open_archive(path, "")?;
        }
        files.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = files.entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let [first, second] = [&pair[0], &pair[1]].map(|entry| files.origin(entry));
            let problem = format!("is there twice, in {first} and in {second}; remove one of them");
            return Err(DataError::file(files.display(&pair[0].name), problem));
        }
        files.no_archive_beside_its_files()?;
        Ok(files)
    }

    /// Returns the relative paths of all files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    /// Returns the empty folders, sorted as they were found.
    pub(crate) fn empty_folders(&self) -> &[String] {
        &self.empty
    }

    /// Returns the first file whose path ends in `suffix` at a folder boundary.
    pub fn find(&self, suffix: &str) -> Option<&str> {
        let ends = |name: &&str| {
            name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        self.names().find(ends)
    }

    fn entry(&self, name: &str) -> Result<&Entry, DataError> {
        let found = self.entries.binary_search_by(|entry| (*entry.name).cmp(name));
        found.map(|at| &self.entries[at]).map_err(|_| DataError::file(self.display(name), "no such file"))
    }

    /// Returns a file's bytes.
    ///
    /// # Errors
    /// If there is no such file or it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, DataError> {
        let entry = self.entry(name)?;
        entry.used.store(true, Ordering::Relaxed);
        self.bytes(entry).map_err(|source| DataError::Read { path: self.root.join(name), source })
    }

    fn bytes(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        match &entry.place {
            Place::Folder => fs::read(self.root.join(&*entry.name)),
            Place::Memory(bytes) => Ok(bytes.clone()),
            Place::Tar { file, offset, length } => {
                let mut bytes = vec![0; *length as usize];
                read_exact_at(&*self.open.get(*file as usize)?, &mut bytes, *offset)?;
                Ok(bytes)
            }
        }
    }

    /// Calls `read` with the length of a file and a function that reads its bytes from an offset.
    ///
    /// # Errors
    /// If there is no such file or it cannot be read.
    pub(crate) fn by_position<T>(
        &self,
        name: &str,
        read: impl FnOnce(u64, &dyn Fn(u64, &mut [u8]) -> io::Result<()>) -> io::Result<T>,
    ) -> Result<T, DataError> {
        let path = || self.root.join(name);
        let result = match &self.entry(name)?.place {
            Place::Folder => File::open(path()).and_then(|file| {
                read(file.metadata()?.len(), &|offset, buffer| read_exact_at(&file, buffer, offset))
            }),
            Place::Memory(bytes) => read(bytes.len() as u64, &|offset, buffer| {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                rest.unwrap_or_default().read_exact(buffer)
            }),
            Place::Tar { file, offset: start, length } => self.open.get(*file as usize).and_then(|file| {
                read(*length, &|offset, buffer| read_exact_at(&file, buffer, start + offset))
            }),
        };
        result.map_err(|source| DataError::Read { path: path(), source })
    }

    /// Returns the first bytes of a file, at most `count`.
    ///
    /// # Errors
    /// If there is no such file or it cannot be read.
    pub(crate) fn first(&self, name: &str, count: usize) -> Result<Vec<u8>, DataError> {
        self.by_position(name, |length, read| {
            let mut bytes = vec![0; count.min(usize::try_from(length).unwrap_or(count))];
            read(0, &mut bytes)?;
            Ok(bytes)
        })
    }

    /// Returns an archive of an unsupported kind, and that kind.
    pub(crate) fn other_archive(&self) -> Option<(&str, &'static str)> {
        const ENDINGS: [&str; 8] = ["zip", "7z", "xz", "txz", "bz2", "zst", "rar", "tbz2"];
        let packed = |name: &&str| ENDINGS.iter().any(|known| ending(name) == format!(".{known}"));
        self.names().filter(packed).find_map(|name| Some((name, other_archive(&self.first(name, 8).ok()?)?)))
    }

    /// Returns a file's length in bytes.
    ///
    /// # Errors
    /// If there is no such file, or the operating system does not report its length.
    pub(crate) fn length(&self, name: &str) -> Result<u64, DataError> {
        Ok(match &self.entry(name)?.place {
            Place::Folder => {
                let path = self.root.join(name);
                fs::metadata(&path).map_err(DataError::read(&path))?.len()
            }
            Place::Memory(bytes) => bytes.len() as u64,
            Place::Tar { length, .. } => *length,
        })
    }

    /// The name of a file in messages.
    pub fn display(&self, name: &str) -> String {
        let path = if name.is_empty() { Cow::from(&self.root) } else { self.root.join(name).into() };
        path.display().to_string()
    }

    /// Returns the file or folder that was opened.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of the innermost archive that contains a file, without the extension and with a slash at
    /// the end. The path is empty if that is the archive that was opened. Returns `None` if the file is in no
    /// archive.
    pub(crate) fn archive(&self, name: &str) -> Option<&str> {
        let archive = self.entry(name).ok()?.archive?;
        Some(&self.archives[archive as usize].prefix)
    }

    /// Marks a file as part of a layout, though it is not read from here.
    pub(crate) fn mark_used(&self, name: &str) {
        if let Ok(entry) = self.entry(name) {
            entry.used.store(true, Ordering::Relaxed);
        }
    }

    /// Counts an unused file under this kind.
    pub(crate) fn pass_over(&self, name: &str, kind: &str) {
        if let Ok(entry) = self.entry(name)
            && !entry.used.swap(true, Ordering::Relaxed)
        {
            self.count(kind, 1);
        }
    }

    /// Counts `number` unused items under this kind.
    pub(crate) fn count(&self, kind: &str, number: usize) {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).add(kind, number);
    }

    /// Returns the files passed over, given that only `images` are still to be read. The other unread files are
    /// counted by extension.
    pub(crate) fn passed_over<'a>(&self, images: impl Iterator<Item = &'a String>) -> PassedOver {
        images
            .filter_map(|name| self.entry(name).ok())
            .for_each(|entry| entry.used.store(true, Ordering::Relaxed));
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for entry in self.entries.iter().filter(|entry| !entry.used.load(Ordering::Relaxed)) {
            passed.add(&ending(&entry.name), 1);
        }
        passed
    }

    /// Returns the origin of an entry for messages.
    fn origin(&self, entry: &Entry) -> String {
        match entry.archive {
            Some(archive) => self.archives[archive as usize].origin.clone(),
            None => self.display(entry.name.rsplit_once('/').map_or("", |(folder, _)| folder)),
        }
    }

    /// Lists a folder. `above` holds the real paths of the folders above it, so that a link to one of them ends the
    /// recursion.
    fn list(&mut self, folder: &Path, prefix: &str, above: &mut Vec<PathBuf>) -> Result<(), DataError> {
        let real = folder.canonicalize().map_err(DataError::read(folder))?;
        if above.contains(&real) {
            return Err(DataError::file(folder.display().to_string(), "a link to a folder that it lies in"));
        }
        above.push(real);
        let mut entries: Vec<_> =
            fs::read_dir(folder).and_then(Iterator::collect).map_err(DataError::read(folder))?;
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        let mut nothing = true;
        for entry in entries {
            let path = entry.path();
            let passed = self.passed.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let Some(clutter) = clutter::kind_of_name(&entry.file_name().to_string_lossy()) {
                passed.add(clutter, files_below(&path));
                continue;
            }
            nothing = false;
            let name = entry.file_name().into_string().map_err(|name| {
                let problem = format!("the name `{}` is not UTF-8", name.to_string_lossy().escape_debug());
                DataError::file(folder.display().to_string(), problem)
            })?;
            let kind = kind_of_file(&entry)?;
            // A link to a folder of images counts as that folder.
            if kind.is_dir() {
                self.list(&path, &format!("{prefix}{name}/"), above)?;
            } else if !kind.is_file() {
                passed.add(archive::NO_FILES, 1);
            } else if let Some(stem) = stem(&name) {
                self.open_archive(&path, &format!("{prefix}{stem}/"))?;
            } else {
                self.add(format!("{prefix}{name}"), Place::Folder, None);
            }
        }
        if nothing && !prefix.is_empty() {
            self.empty.push(prefix.trim_end_matches('/').to_owned());
        }
        above.pop();
        Ok(())
    }

    fn add(&mut self, name: String, place: Place, archive: Option<u32>) {
        self.entries.push(Entry { name: name.into(), place, archive, used: AtomicBool::new(false) });
    }

    /// Adds the members of an archive, each under `prefix`.
    fn open_archive(&mut self, path: &Path, prefix: &str) -> Result<(), DataError> {
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
        if let Some(kind) = other_archive(&first) {
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
            && let Some(stem) = stem(name)
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

    /// Returns an error if images in an archive also lie beside it as files, with the same end of path. The archive
    /// was unpacked there, and each image would count twice.
    fn no_archive_beside_its_files(&self) -> Result<(), DataError> {
        let mut members: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(archive) = entry.archive {
                members.entry(archive).or_default().push(entry);
            }
        }
        let mut by_base: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for of_archive in members.values_mut() {
            *of_archive = self.some_images(of_archive)?;
            for member in of_archive {
                by_base.entry(base(&member.name)).or_default();
            }
        }
        for entry in self.entries.iter().filter(|entry| entry.archive.is_none()) {
            if let Some(files) = by_base.get_mut(base(&entry.name)) {
                files.push(entry);
            }
        }
        for (archive, members) in &members {
            let Archive { origin, prefix } = &self.archives[*archive as usize];
            let mut same: BTreeMap<String, usize> = BTreeMap::new();
            for member in members {
                let inside = &member.name[prefix.len()..];
                for file in &by_base[base(&member.name)] {
                    if self.equal(member, file)? {
                        *same.entry(self.beside(file, inside)).or_default() += 1;
                    }
                }
            }
            if let Some((other, _)) = same.iter().find(|(_, same)| **same * 2 >= members.len()) {
                let problem = format!(
                    "holds the images that lie in {other} too, and each would count twice; move one of them away"
                );
                return Err(DataError::file(origin, problem));
            }
        }
        Ok(())
    }

    /// Returns the folder that holds a copy of an archive's member: the archive's first folder, if its name was
    /// kept.
    fn beside(&self, copy: &Entry, inside: &str) -> String {
        match without_common_end(&copy.name, inside) {
            "" => self.display(inside.split_once('/').map_or("", |(first, _)| first)),
            folder => match inside.split_once('/').filter(|(first, _)| {
                copy.name
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.trim_start_matches('/').starts_with(first))
            }) {
                Some((first, _)) => self.display(&format!("{folder}/{first}")),
                None => self.display(folder),
            },
        }
    }

    /// Returns some of these members that are images, by their extensions or, if none has one, by their first
    /// bytes.
    fn some_images<'a>(&self, members: &[&'a Entry]) -> Result<Vec<&'a Entry>, DataError> {
        let some = |members: Vec<&'a Entry>| -> Vec<&'a Entry> {
            let step = members.len().div_ceil(COMPARED).max(1);
            members.into_iter().step_by(step).collect()
        };
        let named: Vec<_> = members.iter().copied().filter(|member| is_image(&member.name)).collect();
        if !named.is_empty() {
            return Ok(some(named));
        }
        let mut images = Vec::new();
        for member in some(members.to_vec()) {
            if sniff(&self.first(&member.name, SNIFFED)?).is_some() {
                images.push(member);
            }
        }
        Ok(images)
    }

    fn equal(&self, a: &Entry, b: &Entry) -> Result<bool, DataError> {
        let read = |entry: &Entry| {
            let error = |source| DataError::Read { path: self.root.join(&*entry.name), source };
            self.bytes(entry).map_err(error)
        };
        Ok(self.length(&a.name)? == self.length(&b.name)? && read(a)? == read(b)?)
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

/// Returns the kind of an unsupported archive by its first bytes.
fn other_archive(first: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\xfd7zXZ\0", "an xz archive"),
        (b"BZh", "a bzip2 archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"Rar!\x1a\x07", "a rar archive"),
    ];
    KINDS.iter().find(|(magic, _)| first.starts_with(magic)).map(|(_, kind)| *kind)
}

/// Returns the type of a file, or of the target of a link.
fn kind_of_file(entry: &fs::DirEntry) -> Result<fs::FileType, DataError> {
    let path = entry.path();
    let kind = entry.file_type().map_err(DataError::read(&path))?;
    if !kind.is_symlink() {
        return Ok(kind);
    }
    fs::metadata(&path).map(|metadata| metadata.file_type()).map_err(|error| {
        let target = fs::read_link(&path).unwrap_or_default();
        let problem = format!("a link to `{}`, which leads nowhere ({error}); remove it", target.display());
        DataError::file(path.display().to_string(), problem)
    })
}

/// Counts the files at and below a path. Links are not followed.
fn files_below(path: &Path) -> usize {
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return 1;
    }
    fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|entry| files_below(&entry.path())).sum())
}

/// Returns a path without the folders and the name that it shares at its end with another path.
fn without_common_end<'a>(path: &'a str, other: &str) -> &'a str {
    let common = path.rsplit('/').zip(other.rsplit('/')).take_while(|(a, b)| a == b);
    let length: usize = common.map(|(part, _)| part.len() + 1).sum();
    &path[..path.len().saturating_sub(length)]
}

/// Returns the last part of a path.
pub(crate) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns whether a file has the extension of a JPEG or PNG file.
pub(crate) fn is_image(name: &str) -> bool {
    let ending = base(name).rsplit_once('.').map_or("", |(_, ending)| ending);
    ["jpg", "jpeg", "jpe", "jfif", "png"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Returns the extension of a file's name, by which unused files are counted.
fn ending(name: &str) -> String {
    const IMAGES: [&str; 10] = ["webp", "gif", "bmp", "tif", "tiff", "heic", "avif", "jxl", "ppm", "pgm"];
    let name = base(name).to_ascii_lowercase();
    if DOCUMENTS.iter().any(|document| name.starts_with(document)) {
        return PassedOver::DOCUMENTS.into();
    }
    match name.rsplit_once('.') {
        Some((_, ending)) if IMAGES.contains(&ending) => format!(".{ending} (not read)"),
        Some((_, ending)) if !ending.is_empty() && ending.len() <= 8 => format!(".{ending}"),
        _ => "without an ending".into(),
    }
}

/// Returns an archive's name without its extension.
fn stem(name: &str) -> Option<&str> {
    [".tar", ".tar.gz", ".tgz"]
        .iter()
        .filter_map(|ending| {
            let at = name.len().checked_sub(ending.len())?;
            name.get(at..)?.eq_ignore_ascii_case(ending).then_some(&name[..at])
        })
        .find(|stem| !base(stem).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, body) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(body.len() as u64);
            builder.append_data(&mut header, name, *body).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn archives_inside_are_folders() {
        let inner = tar(&[("n01_1.JPEG", b"fish"), ("n01_2.JPEG", b"tench")]);
        let train = tar(&[("n01.tar", &inner), ("n02.tar", &tar(&[("n02_1.JPEG", b"bird")]))]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.tar"), &train).unwrap();
        std::fs::write(folder.path().join("words.txt"), "n01 fish").unwrap();
        std::fs::create_dir_all(folder.path().join("val/n03")).unwrap();
        let files = Files::open(folder.path()).unwrap();
        let names: Vec<&str> = files.names().collect();
        assert_eq!(
            names,
            ["train/n01/n01_1.JPEG", "train/n01/n01_2.JPEG", "train/n02/n02_1.JPEG", "words.txt"]
        );
        assert_eq!(files.read("train/n01/n01_2.JPEG").unwrap(), b"tench");
        assert_eq!(files.length("train/n02/n02_1.JPEG").unwrap(), 4);
        assert_eq!(files.empty_folders(), ["val/n03"]);
        let alone = Files::open(&folder.path().join("train.tar")).unwrap();
        assert_eq!(alone.names().next(), Some("n01/n01_1.JPEG"));

        // Cuts a kilobyte off the inner tar and leaves the outer one intact.
        let cut = tar(&[("n01.tar", &inner[..1200]), ("n02.tar", b"")]);
        std::fs::write(folder.path().join("train.tar"), &cut).unwrap();
        let error = Files::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("train.tar/n01.tar"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_round_in_circles() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("1.jpg"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("cats")).unwrap();
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(files.names().collect::<Vec<_>>(), ["cats/1.jpg"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("dogs")).unwrap();
        let error = Files::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("dogs: a link to a folder that it lies in"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
        std::fs::write(folder.path().join(name), "x").unwrap();
        let error = Files::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is not UTF-8"), "{error}");
    }
}
