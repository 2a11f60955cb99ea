use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flate2::read::GzDecoder;

use crate::DataError;

/// The files of a data set by relative path, whether they lie in a folder, in a tar that is read in
/// place, or in a tar.gz that is unpacked into memory.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Folder(Vec<String>),
    /// Offset and length of each member.
    Tar(Mutex<File>, BTreeMap<String, (u64, u64)>),
    Memory(BTreeMap<String, Vec<u8>>),
}

impl Files {
    /// Opens a folder, a `.tar` or a `.tar.gz`.
    ///
    /// # Errors
    /// If it cannot be read or, for an archive, is cut short or not a tar.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), source };
        let archive = |source: std::io::Error| {
            DataError::file(path.display().to_string(), format!("not a whole tar archive ({source})"))
        };
        let store = if path.is_dir() {
            let mut names = Vec::new();
            list(path, "", &mut names).map_err(read)?;
            names.sort_unstable();
            Store::Folder(names)
        } else if path.extension().is_some_and(|extension| extension == "gz" || extension == "tgz") {
            let file = File::open(path).map_err(read)?;
            Store::Memory(unpack(GzDecoder::new(file)).map_err(archive)?)
        } else {
            let file = File::open(path).map_err(read)?;
            let index = index(&file).map_err(archive)?;
            Store::Tar(Mutex::new(file), index)
        };
        Ok(Self { root: path.to_owned(), store })
    }

    /// Relative paths of all files, sorted.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.store {
            Store::Folder(names) => Box::new(names.iter().map(String::as_str)),
            Store::Tar(_, index) => Box::new(index.keys().map(String::as_str)),
            Store::Memory(files) => Box::new(files.keys().map(String::as_str)),
        }
    }

    /// The first file whose path ends in `suffix` at a folder boundary.
    pub fn find(&self, suffix: &str) -> Option<&str> {
        self.names()
            .find(|name| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// If there is no such file or it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, DataError> {
        let missing = || DataError::file(self.display(name), "no such file");
        let error = |source| DataError::Read { path: self.root.join(name), source };
        match &self.store {
            Store::Folder(_) => std::fs::read(self.root.join(name)).map_err(error),
            Store::Memory(files) => files.get(name).cloned().ok_or_else(missing),
            Store::Tar(file, index) => {
                let &(offset, length) = index.get(name).ok_or_else(missing)?;
                let mut bytes = vec![0; length as usize];
                let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                file.seek(SeekFrom::Start(offset)).map_err(error)?;
                file.read_exact(&mut bytes).map_err(error)?;
                Ok(bytes)
            }
        }
    }

    /// How to call a file in a message.
    pub fn display(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A link to a folder of images is as good as the folder.
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

fn member_name(path: &Path) -> String {
    let name = path.to_string_lossy().replace('\\', "/");
    name.strip_prefix("./").unwrap_or(&name).to_owned()
}

fn index(file: &File) -> std::io::Result<BTreeMap<String, (u64, u64)>> {
    let length = file.metadata()?.len();
    let mut index = BTreeMap::new();
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (start, size) = (entry.raw_file_position(), entry.size());
            if start + size > length {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    format!("it ends inside {}", entry.path()?.display()),
                ));
            }
            index.insert(member_name(&entry.path()?), (start, size));
        }
    }
    if index.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it holds no file"));
    }
    Ok(index)
}

fn unpack(stream: impl Read) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(stream).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = member_name(&entry.path()?);
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}
