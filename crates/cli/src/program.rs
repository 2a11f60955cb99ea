//! What the program that this command line belongs to has built in.

use std::path::PathBuf;
use std::sync::OnceLock;

use alexnet_config::BuiltIn;

/// What a program has built in.
#[derive(Debug)]
pub struct Program {
    /// Its version, with the commit that it was built from.
    pub version: String,
    /// Ablations.
    pub ablations: &'static [BuiltIn],
    /// Scales.
    pub scales: &'static [BuiltIn],
    /// Manifests of data sets.
    pub data_sets: &'static [BuiltIn],
    /// A folder in which data sets may lie.
    pub data_folder: PathBuf,
    /// ILSVRC-2012's classes: lines of WordNet id, number and name.
    pub imagenet_labels: &'static str,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Sets what [`program`] gives, once a process.
pub(crate) fn set(program: Program) {
    let _ = PROGRAM.set(program);
}

/// What is built in.
///
/// # Panics
/// Before [`set`].
pub(crate) fn program() -> &'static Program {
    #[cfg(test)]
    set(Program {
        version: "0.0.0".to_owned(),
        ablations: &[],
        scales: &[],
        data_sets: &[],
        data_folder: PathBuf::new(),
        imagenet_labels: include_str!("../../../datasets/imagenet-labels.tsv"),
    });
    PROGRAM.get().expect("set before anything else")
}
