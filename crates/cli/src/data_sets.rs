//! Data sets by name or path.

use std::path::{Path, PathBuf};

use alexnet_config::{ConfigError, check_name, load};
use alexnet_data::{
    Class, Dataset, Layout, Manifest, PassedOver, Split, Statistics, layout_of, name_of_images,
};
use alexnet_study::resized;
use alexnet_train::{Data, Run, RunConfig};
use anyhow::{Result, anyhow, bail};

use crate::cache::user_cache;
use crate::interrupted::{STOP, or_interrupted};
use crate::output::note;
use crate::program::program;

/// The size to which images are scaled for inspection if neither a manifest nor a network says one.
const UNSCALED: usize = 256;

/// Loads the images and statistics of a run, at `path` or where the data set is found.
pub(crate) fn load_data(config: &RunConfig, path: Option<&Path>) -> Result<Data> {
    let dataset = data_set(config, path)?;
    let statistics = statistics(&dataset)?;
    Ok(Data { dataset, statistics })
}

/// What a command says whose statistics are interrupted.
pub(crate) const NO_STATISTICS: &str = "interrupted before the statistics of the images were complete";

/// Returns the statistics of a data set's training images, unless the command is interrupted.
pub(crate) fn statistics(set: &Dataset) -> Result<Statistics> {
    or_interrupted(Statistics::of_training(set, &STOP), NO_STATISTICS)
}

fn data_set(config: &RunConfig, path: Option<&Path>) -> Result<Dataset> {
    let mut manifest = match manifest(&config.data.set) {
        // A run on the user's own images.
        Err(error) if path.is_none() && config.data.size > 0 && is_unknown(&error) => {
            bail!("give the images of `{}` with `--data`", config.data.set)
        }
        // Images of the user's own have a name and no manifest.
        Err(error) if path.is_some() && is_unknown(&error) => Manifest::of_images(&config.data.set, 0, 0),
        other => other?,
    };
    if config.data.size > 0 || manifest.size == 0 {
        manifest.size =
            if config.data.size > 0 { config.data.size } else { resized(config.network.input.size) };
    }
    if manifest.channels == 0 {
        manifest.channels = config.network.input.channels;
    }
    open(&manifest, path)
}

/// Returns whether images identify themselves, so that they need no manifest. Those of MNIST's and CIFAR's files have classes
/// without names.
pub(crate) fn identify_themselves(data: &Path) -> bool {
    let named = [Layout::Idx, Layout::Cifar10, Layout::Cifar100].map(Some);
    !layout_of(data).is_ok_and(|layout| named.contains(&layout))
}

fn is_unknown(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<ConfigError>(), Some(ConfigError::Unknown { .. }))
}

/// Opens a data set by its name.
pub(crate) fn open_data(set: &str, path: Option<&Path>) -> Result<Dataset> {
    let manifest = manifest(set)?;
    let size = if manifest.size > 0 { manifest.size } else { UNSCALED };
    let channels = if manifest.channels > 0 { manifest.channels } else { 3 };
    open(&Manifest { size, channels, ..manifest }, path)
}

/// Opens images that have no manifest.
pub(crate) fn open_images(path: &Path) -> Result<Dataset> {
    open(&Manifest::of_images(&name_of_images(path), 3, UNSCALED), Some(path))
}

fn open(manifest: &Manifest, path: Option<&Path>) -> Result<Dataset> {
    let path = match path {
        Some(path) if !path.exists() => bail!("--data {}: no such file or folder", path.display()),
        Some(path) => path.to_owned(),
        None => find_data(manifest).ok_or_else(|| not_here(manifest))?,
    };
    let set = Dataset::open(manifest, &path).map_err(|error| {
        match manifest.images.is_some() && identify_themselves(&path) {
            true => anyhow!(
                "{error}; these files are read as data set `{}`: images of your own need neither a scale nor a name \
                 (`experiments train --data {}`)",
                manifest.name,
                path.display()
            ),
            false => error.into(),
        }
    })?;
    note_passed_over(&path, &set.passed_over);
    if set.test_set_aside {
        note("there are no test images: a tenth of each class is set aside for the test");
    }
    Ok(set)
}

/// Returns the error for a data set that is not on this machine.
fn not_here(manifest: &Manifest) -> anyhow::Error {
    let files = with_files(manifest).map_or(0, |manifest| manifest.files.len());
    let how = match (files, manifest.origin.as_str()) {
        (1.., _) => format!("download it with `experiments data fetch {}`, or ", manifest.name),
        (0, "") => String::new(),
        (0, origin) => format!("see {origin}, or "),
    };
    anyhow!("data set `{}` is not here: {how}give its folder or archive with `--data`", manifest.name)
}

/// Reports the files of a data set that are not used, except documents.
pub(crate) fn note_passed_over(path: &Path, passed_over: &PassedOver) {
    if passed_over.is_of_note() {
        note(&format!("note: {}: {passed_over}", path.display()));
    }
}

/// Opens the test images or the training images of a data set, with their classes.
pub(crate) fn open_split(
    data: Option<&Path>,
    set: Option<&str>,
    train: bool,
) -> Result<(Split, Vec<Class>, &'static str)> {
    let manifest = set.map(manifest).transpose()?;
    let found = manifest.as_ref().and_then(find_data);
    let Some(path) = data.map(Path::to_owned).or(found) else {
        match &manifest {
            Some(manifest) => return Err(not_here(manifest)),
            None => bail!("give the images with `--data`"),
        }
    };
    if !path.exists() {
        bail!("--data {}: no such file or folder", path.display());
    }
    let (split, classes, name, passed_over) = Dataset::open_split(&path, manifest.as_ref(), train)?;
    note_passed_over(&path, &passed_over);
    Ok((split, classes, name))
}

/// Opens the test images on which weights are tested. Images without splits are all of them, unless the weights are those
/// of a run on these images: then they are those that the run set aside.
pub(crate) fn open_test(
    run: Option<&Run>,
    data: Option<&Path>,
    set: Option<&str>,
) -> Result<(Split, Vec<Class>, &'static str)> {
    let (split, classes, name) = open_split(data, set, false)?;
    let Some(run) = run.filter(|_| name == "all") else { return Ok((split, classes, name)) };
    let checksum = run.record()?.checksum;
    // Images that cannot be the run's are other images too.
    match data_set(&run.config, data) {
        Ok(own) if own.checksum == checksum => {
            let part = own.part(&run.config.data.classes, run.config.data.labelled, run.seed)?;
            let name = |(id, name): (&String, &String)| Class { id: id.clone(), name: name.clone() };
            Ok((part.test, part.classes.iter().zip(&part.class_names).map(name).collect(), "the run's test"))
        }
        _ => Ok((split, classes, "all images, of which the run may have learned from some")),
    }
}

/// Reads a data set's manifest.
pub(crate) fn manifest(name: &str) -> Result<Manifest> {
    let manifest: Manifest = load("data set", program().data_sets, name)?;
    check_name("data set", &manifest.name)?;
    Ok(manifest)
}

/// Returns the folders in which data sets are searched: the repository's `datasets`, then the target of `data
/// fetch`.
pub(crate) fn data_folders() -> Vec<PathBuf> {
    // The binary may have been moved out of the repository, or may run elsewhere.
    let mut folders = vec![program().data_folder.clone(), PathBuf::from("datasets")];
    if let Ok(program) = std::env::current_exe() {
        folders.extend(program.ancestors().skip(1).map(|folder| folder.join("datasets")));
    }
    folders.push(fetched());
    folders
}

/// Returns the folder into which `data fetch` downloads data sets.
pub(crate) fn fetched() -> PathBuf {
    if let Some(folder) = std::env::var_os("ALEXNET_BURN_DATA") {
        return folder.into();
    }
    user_cache().join("alexnet-burn")
}

/// Returns the manifest of the data set whose files a data set consists of.
pub(crate) fn with_files(manifest: &Manifest) -> Result<Manifest> {
    match &manifest.files_of {
        Some(other) => self::manifest(other),
        None => Ok(manifest.clone()),
    }
}

/// Returns the folder or archive of a data set, if it exists.
pub(crate) fn find_data(manifest: &Manifest) -> Option<PathBuf> {
    let manifest = with_files(manifest).ok()?;
    let folders = data_folders().into_iter().map(|folder| folder.join(&manifest.name));
    let mut folders = folders.filter(|folder| folder.is_dir());
    let folder = folders.find(|folder| {
        let complete = |file: &alexnet_data::RemoteFile| folder.join(&file.name).is_file();
        manifest.files.iter().all(complete)
    })?;
    // A single archive is the data set itself. Several files are a folder.
    match manifest.files.as_slice() {
        [archive] => Some(folder.join(&archive.name)),
        _ => Some(folder),
    }
}
