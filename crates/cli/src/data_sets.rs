//! Data sets by name or path.

use std::path::{Path, PathBuf};

use alexnet_config::{check_name, load};
use alexnet_data::{Class, Dataset, Manifest, PassedOver, Split};
use alexnet_train::Data;
use anyhow::{Result, anyhow, bail};

use crate::output::note;
use crate::program::program;

/// The images and statistics of a data set by its name.
pub(crate) fn load_data(set: &str, path: Option<&Path>) -> Result<Data> {
    Ok(Data::new(open_data(set, path)?)?)
}

pub(crate) fn open_data(set: &str, path: Option<&Path>) -> Result<Dataset> {
    let manifest = manifest(set)?;
    let path = match path {
        Some(path) if !path.exists() => bail!("--data {}: no such file or folder", path.display()),
        Some(path) => path.to_owned(),
        None => find_data(&manifest).ok_or_else(|| {
            let how = if manifest.files.is_empty() {
                format!("see {}", manifest.origin)
            } else {
                format!("download it with `experiments data fetch {}`", manifest.name)
            };
            anyhow!(
                "data set `{}` is not here: {how}, or give its folder or archive with `--data`",
                manifest.name
            )
        })?,
    };
    let set = Dataset::open(&manifest, &path)?;
    note_passed_over(&path, &set.passed_over);
    Ok(set)
}

/// Says which of a data set's files are not used, if there are any but documents.
pub(crate) fn note_passed_over(path: &Path, passed_over: &PassedOver) {
    if passed_over.is_of_note() {
        note(&format!("note: {}: {passed_over}", path.display()));
    }
}

/// The test images of a data set, or those to learn from, with their classes.
pub(crate) fn open_split(
    data: Option<&Path>,
    set: Option<&str>,
    train: bool,
) -> Result<(Split, Vec<Class>, &'static str)> {
    let manifest = set.map(manifest).transpose()?;
    let found = manifest.as_ref().and_then(find_data);
    let Some(path) = data.map(Path::to_owned).or(found) else { bail!("give the images with `--data`") };
    if !path.exists() {
        bail!("--data {}: no such file or folder", path.display());
    }
    let (split, classes, name, passed_over) = Dataset::open_split(&path, manifest.as_ref(), train)?;
    note_passed_over(&path, &passed_over);
    Ok((split, classes, name))
}

/// A data set's manifest.
pub(crate) fn manifest(name: &str) -> Result<Manifest> {
    let manifest: Manifest = load("data set", program().data_sets, name)?;
    check_name("data set", &manifest.name)?;
    Ok(manifest)
}

/// Where data sets are looked for: the repository's `datasets`, then where `data fetch` puts them.
pub(crate) fn data_folders() -> Vec<PathBuf> {
    // The binary may have been moved away from the repository, or be run from elsewhere.
    let mut folders = vec![program().data_folder.clone(), PathBuf::from("datasets")];
    if let Ok(program) = std::env::current_exe() {
        folders.extend(program.ancestors().skip(1).map(|folder| folder.join("datasets")));
    }
    folders.push(fetched());
    folders
}

/// Where `data fetch` puts data sets.
pub(crate) fn fetched() -> PathBuf {
    if let Some(folder) = std::env::var_os("ALEXNET_BURN_DATA") {
        return folder.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("alexnet-burn")
}

/// The folder or archive of a data set, if it is here.
pub(crate) fn find_data(manifest: &Manifest) -> Option<PathBuf> {
    let folders = data_folders().into_iter().map(|folder| folder.join(&manifest.name));
    let mut folders = folders.filter(|folder| folder.is_dir());
    let folder = folders.find(|folder| {
        let complete = |file: &alexnet_data::RemoteFile| folder.join(&file.name).is_file();
        manifest.files.iter().all(complete)
    })?;
    // One archive is the data set; several files are a folder of them.
    match manifest.files.as_slice() {
        [archive] => Some(folder.join(&archive.name)),
        _ => Some(folder),
    }
}
