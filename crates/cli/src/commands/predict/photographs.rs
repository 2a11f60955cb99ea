//! The photographs that a command is given: files, folders and patterns.

use std::path::{Path, PathBuf};

use alexnet_data::is_image;
use anyhow::{Context, Result, bail};

/// Returns the files. A folder stands for the JPEG and PNG files in it and below, a pattern (`*`, `?`, `[a-z]`, `**`) for
/// the files that fit.
pub(super) fn photographs(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        let text = path.to_string_lossy();
        if path.is_dir() {
            let before = files.len();
            add_folder(path, &mut files)?;
            if files.len() == before {
                bail!("{}: no JPEG or PNG file is in this folder", path.display());
            }
        } else if !path.exists() && text.contains(['*', '?', '[']) {
            let options = glob::MatchOptions {
                case_sensitive: true,
                require_literal_separator: false,
                require_literal_leading_dot: true,
            };
            let found = glob::glob_with(&text, options);
            let found = found.with_context(|| format!("{text}: not a valid pattern"))?;
            let before = files.len();
            for path in found {
                let path = path?;
                if path.is_file() && is_image(&path.to_string_lossy()) {
                    files.push(path);
                } else if path.is_dir() && !text.contains("**") {
                    add_folder(&path, &mut files)?;
                }
            }
            if files.len() == before {
                bail!("{text}: no JPEG or PNG file matches");
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Adds the images in a folder, sorted, then those of its folders.
fn add_folder(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(cannot)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().with_context(cannot)?;
    paths.sort();
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    paths.retain(|path| !hidden(path));
    let is_photograph = |path: &&PathBuf| path.is_file() && is_image(&path.to_string_lossy());
    files.extend(paths.iter().filter(is_photograph).cloned());
    // A link to a folder may lead back to this one.
    let folders = paths.iter().filter(|path| path.is_dir() && !path.is_symlink());
    folders.into_iter().try_for_each(|folder| add_folder(folder, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_stand_for_their_photographs() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        for name in ["2.jpg", "1.PNG", "notes.txt", ".3.jpg", "b/c/4.jpeg"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let found = |path: PathBuf| -> Vec<String> {
            let files = photographs(&[path]).unwrap();
            let names =
                files.iter().map(|file| file.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            names.collect()
        };
        assert_eq!(found(root.to_owned()), ["1.PNG", "2.jpg", "b/c/4.jpeg"]);
        assert_eq!(found(root.join("*.jpg")), ["2.jpg"]);
        assert_eq!(found(root.join("**/4*")), ["b/c/4.jpeg"]);
        assert_eq!(found(root.join("**/*")), ["1.PNG", "2.jpg", "b/c/4.jpeg"]);
        assert_eq!(found(root.join("*")), ["1.PNG", "2.jpg", "b/c/4.jpeg"]);
        assert_eq!(found(root.join("nothing.jpg")), ["nothing.jpg"]);
        std::fs::create_dir(root.join("d")).unwrap();
        for nothing in ["d", "*.gif", "*.png", "[.jpg"] {
            assert!(photographs(&[root.join(nothing)]).is_err(), "{nothing}");
        }
    }
}
