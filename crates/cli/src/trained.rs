//! Weights that come with this project, by name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::program;

/// The folder of the weights in the repository.
const FOLDER: &str = "experiments/weights";

/// Returns the file of the weights with this name, if they are there.
pub(crate) fn find(name: &Path) -> Option<PathBuf> {
    let name = name.to_str().filter(|name| !name.contains(['/', '\\', '.']))?;
    beside(&format!("{name}.safetensors"))
}

/// Returns the names of the weights that are there.
pub(crate) fn names() -> Vec<String> {
    let files = repositories().into_iter().find_map(|root| fs::read_dir(root.join(FOLDER)).ok());
    let paths = files.into_iter().flatten().filter_map(|file| Some(file.ok()?.path()));
    let weights = paths.filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"));
    let mut names: Vec<String> =
        weights.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// Returns what `weights.json` says about weights, in a line.
pub(crate) fn about(name: &str) -> Option<String> {
    let text = fs::read(beside("weights.json")?).ok()?;
    let all: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let of = all.get(name)?;
    let (scale, data, error) = (of["scale"].as_str()?, of["data"].as_str()?, of["test_error"].as_f64()?);
    Some(format!("`{scale}` on {data}, {error:.2} % test error"))
}

/// Returns a file beside the weights, if it is there.
pub(crate) fn beside(file: &str) -> Option<PathBuf> {
    in_repository(&format!("{FOLDER}/{file}"))
}

/// Returns a file of the repository, if it is there.
pub(crate) fn in_repository(file: &str) -> Option<PathBuf> {
    repositories().into_iter().map(|root| root.join(file)).find(|file| file.is_file())
}

/// Returns the folders that may be the repository: the one from which the program was built, the current one, and those above
/// the program.
fn repositories() -> Vec<PathBuf> {
    let built = program().data_folder.parent().map(Path::to_owned);
    let mut folders: Vec<PathBuf> = built.into_iter().chain([PathBuf::from(".")]).collect();
    if let Ok(program) = std::env::current_exe() {
        folders.extend(program.ancestors().skip(1).map(Path::to_owned));
    }
    folders
}
