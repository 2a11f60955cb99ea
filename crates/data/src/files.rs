use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::DataError;
use crate::archive::{self, read_exact_at};

/// A tar.gz is unpacked into memory up to this many bytes: what a small file can grow to is not bounded otherwise.
const UNPACKED_LIMIT: u64 = 4 << 30;

/// The files of a data set by relative path, whether they lie in a folder, in a tar that is read in place, or in a
/// tar.gz that is unpacked into memory. Archives inside are folders too, under their own names without the ending:
/// ILSVRC-2012 comes as a folder of tars, one of which is a tar of a thousand.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    /// By name.
    entries: Vec<Entry>,
    tars: Vec<(PathBuf, File)>,
    /// Folders with nothing in them.
    empty: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder,
    Tar { tar: usize, offset: u64, length: u64 },
    Memory(Vec<u8>),
}

impl Files {
    /// Opens a folder, a `.tar` or a `.tar.gz`.
    ///
    /// # Errors
    /// If it cannot be read or, for an archive, is cut short, not a tar, or has names that cannot be trusted.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let mut files =
            Self { root: path.to_owned(), entries: Vec::new(), tars: Vec::new(), empty: Vec::new() };
        if path.is_dir() {
            files.list(path, "", &mut Vec::new())?;
        } else {
            files.mount(path, "")?;
        }
        files.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = files.entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(DataError::file(
                files.display(&pair[0].name),
                "is there twice, once inside an archive",
            ));
        }
        Ok(files)
    }

    /// Relative paths of all files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    /// Folders that hold nothing, sorted as they were found.
    pub(crate) fn empty_folders(&self) -> &[String] {
        &self.empty
    }

    /// The first file whose path ends in `suffix` at a folder boundary.
    pub fn find(&self, suffix: &str) -> Option<&str> {
        self.names()
            .find(|name| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))
    }

    fn entry(&self, name: &str) -> Result<&Entry, DataError> {
        let found = self.entries.binary_search_by(|entry| (*entry.name).cmp(name));
        found.map(|at| &self.entries[at]).map_err(|_| DataError::file(self.display(name), "no such file"))
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// If there is no such file or it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, DataError> {
        let error = |source| DataError::Read { path: self.root.join(name), source };
        match &self.entry(name)?.place {
            Place::Folder => std::fs::read(self.root.join(name)).map_err(error),
            Place::Memory(bytes) => Ok(bytes.clone()),
            Place::Tar { tar, offset, length } => {
                let mut bytes = vec![0; *length as usize];
                read_exact_at(&self.tars[*tar].1, &mut bytes, *offset).map_err(error)?;
                Ok(bytes)
            }
        }
    }

    /// A file's length in bytes.
    ///
    /// # Errors
    /// If there is no such file or the operating system does not tell.
    pub(crate) fn length(&self, name: &str) -> Result<u64, DataError> {
        Ok(match &self.entry(name)?.place {
            Place::Folder => {
                let path = self.root.join(name);
                std::fs::metadata(&path).map_err(DataError::read(&path))?.len()
            }
            Place::Memory(bytes) => bytes.len() as u64,
            Place::Tar { length, .. } => *length,
        })
    }

    /// How to call a file in a message.
    pub fn display(&self, name: &str) -> String {
        let path = if name.is_empty() { Cow::from(&self.root) } else { self.root.join(name).into() };
        path.display().to_string()
    }

    /// Lists a folder; `above` are the folders it lies in, by their real paths, so that a link to one of them ends.
    fn list(&mut self, folder: &Path, prefix: &str, above: &mut Vec<PathBuf>) -> Result<(), DataError> {
        let real = folder.canonicalize().map_err(DataError::read(folder))?;
        if above.contains(&real) {
            return Err(DataError::file(folder.display().to_string(), "a link to a folder that it lies in"));
        }
        above.push(real);
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).and_then(Iterator::collect).map_err(DataError::read(folder))?;
        entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
        if entries.is_empty() && !prefix.is_empty() {
            self.empty.push(prefix.trim_end_matches('/').to_owned());
        }
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|name| {
                let problem = format!("the name `{}` is not UTF-8", name.to_string_lossy().escape_debug());
                DataError::file(folder.display().to_string(), problem)
            })?;
            // A link to a folder of images is as good as the folder.
            if path.is_dir() {
                self.list(&path, &format!("{prefix}{name}/"), above)?;
            } else if let Some(stem) = stem(&name) {
                self.mount(&path, &format!("{prefix}{stem}/"))?;
            } else {
                self.entries.push(Entry { name: format!("{prefix}{name}").into(), place: Place::Folder });
            }
        }
        above.pop();
        Ok(())
    }

    /// Adds the members of an archive, each under `prefix`.
    fn mount(&mut self, path: &Path, prefix: &str) -> Result<(), DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        if path.extension().is_some_and(|extension| extension == "gz" || extension == "tgz") {
            return self.unpack(GzDecoder::new(file), path, prefix);
        }
        let length = file.metadata().map_err(DataError::read(path))?.len();
        let origin = path.display().to_string();
        let tar = self.tars.len();
        let mut place = |name: String, member: &archive::Member| {
            let place = Place::Tar { tar, offset: member.offset, length: member.length };
            self.entries.push(Entry { name: name.into(), place });
        };
        for member in archive::members(&file, 0, length, &origin)? {
            match member.name.strip_suffix(".tar") {
                None => place(format!("{prefix}{}", member.name), &member),
                Some(stem) => {
                    let inner = format!("{origin}/{}", member.name);
                    for one in archive::members(&file, member.offset, member.length, &inner)? {
                        place(format!("{prefix}{stem}/{}", one.name), &one);
                    }
                }
            }
        }
        self.tars.push((path.to_owned(), file));
        Ok(())
    }

    fn unpack(&mut self, stream: impl Read, path: &Path, prefix: &str) -> Result<(), DataError> {
        let origin = path.display().to_string();
        let no_tar =
            |error: std::io::Error| DataError::file(&origin, format!("not a whole tar.gz archive ({error})"));
        let mut left = UNPACKED_LIMIT;
        let mut names = BTreeSet::new();
        for entry in tar::Archive::new(stream.take(UNPACKED_LIMIT)).entries().map_err(no_tar)? {
            let mut entry = entry.map_err(no_tar)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let at = entry.raw_header_position();
            let name =
                archive::name(&entry.path_bytes()).map_err(|problem| DataError::at(&origin, at, problem))?;
            left = left.checked_sub(entry.size()).ok_or_else(|| {
                DataError::at(&origin, at, "more than 4 GiB unpacked; unpack it and give the folder")
            })?;
            if !names.insert(name.clone()) {
                return Err(DataError::at(&origin, at, format!("`{name}` occurs twice")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(no_tar)?;
            if (bytes.len() as u64) < entry.size() {
                return Err(DataError::at(&origin, at, format!("it ends inside `{name}`")));
            }
            self.entries.push(Entry { name: format!("{prefix}{name}").into(), place: Place::Memory(bytes) });
        }
        Ok(())
    }
}

/// An archive's name without its ending.
fn stem(name: &str) -> Option<&str> {
    [".tar", ".tar.gz", ".tgz"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .filter(|stem| !stem.is_empty())
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

        // A kilobyte off the end of the inner tar, the outer one untouched.
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
