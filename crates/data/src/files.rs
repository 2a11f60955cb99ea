//! The files of a data set in folders, in archives or in archives within archives.

mod beside;
mod folder;
mod mount;
mod unread;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::archive::read_exact_at;
use crate::open_files::OpenFiles;
use crate::{DataError, PassedOver};

/// The beginnings of the names of files that describe a data set.
const DOCUMENTS: [&str; 5] = ["readme", "license", "licence", "copying", "citation"];

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
            left: mount::UNPACKED_LIMIT,
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

    fn add(&mut self, name: String, place: Place, archive: Option<u32>) {
        self.entries.push(Entry { name: name.into(), place, archive, used: AtomicBool::new(false) });
    }
}

/// Returns the last part of a path.
pub(crate) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns a file's name without its extension.
pub(crate) fn stem(path: &str) -> &str {
    let base = base(path);
    base.rsplit_once('.').map_or(base, |(stem, _)| stem)
}

/// Returns whether a file has the extension of a JPEG or PNG file.
pub fn is_image(name: &str) -> bool {
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

#[cfg(test)]
mod tests;
