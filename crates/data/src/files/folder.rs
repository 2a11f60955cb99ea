//! Lists a folder and the folders and archives in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::mount::archive_stem;
use super::{Files, Place};
use crate::{DataError, archive, clutter};

impl Files {
    /// Lists a folder. `above` holds the real paths of the folders above it, so that a link to one of them ends the
    /// recursion.
    pub(super) fn list(
        &mut self,
        folder: &Path,
        prefix: &str,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), DataError> {
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
            } else if let Some(stem) = archive_stem(&name) {
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
