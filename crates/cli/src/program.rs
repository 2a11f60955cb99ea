//! The built-in data of the program to which this command line belongs.

use std::path::PathBuf;
use std::sync::OnceLock;

use alexnet_config::BuiltIn;

/// The built-in data of a program.
#[derive(Debug)]
pub struct Program {
    /// The version, with the commit from which it was built.
    pub version: String,
    /// The ablations.
    pub ablations: &'static [BuiltIn],
    /// The audits.
    pub audits: &'static [BuiltIn],
    /// The designs of audits.
    pub designs: &'static [BuiltIn],
    /// The commits that last changed the designs, as `name=commit`, separated by spaces.
    pub design_commits: &'static str,
    /// The scales.
    pub scales: &'static [BuiltIn],
    /// The manifests of data sets.
    pub data_sets: &'static [BuiltIn],
    /// A folder in which data sets may lie.
    pub data_folder: PathBuf,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Sets the value that [`program`] returns. Called once per process.
pub(crate) fn set(program: Program) {
    let _ = PROGRAM.set(program);
}

/// Returns the built-in data.
///
/// # Panics
/// If called before [`set`].
pub(crate) fn program() -> &'static Program {
    #[cfg(test)]
    set(Program {
        version: "0.0.0".to_owned(),
        ablations: &[],
        audits: &[],
        designs: &[],
        design_commits: "",
        scales: &[],
        data_sets: &[],
        data_folder: PathBuf::new(),
    });
    PROGRAM.get().expect("set before anything else")
}
