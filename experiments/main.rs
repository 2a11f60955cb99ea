//! `experiments`: ablations of AlexNet from the command line. The ablations, scales and data sets beside this file are built
//! in; `crates/cli` does the rest.

use std::path::Path;
use std::process::ExitCode;

use alexnet_cli::{BuiltIn, Program};

macro_rules! built_in {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(BuiltIn { name: $name, toml: include_str!(concat!($folder, "/", $name, ".toml")) }),+]
    };
}

fn main() -> ExitCode {
    let version = match option_env!("ALEXNET_BURN_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{}+{commit}", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    };
    alexnet_cli::main(Program {
        version,
        ablations: built_in!("ablations":
            "lrn", "activation", "pooling", "towers", "dropout", "augmentation", "depth", "views", "fine-print",
            "normalization", "weight-decay", "biases", "transfer", "figure-1", "modern"),
        audits: built_in!("audits": "paper", "after-2012"),
        designs: built_in!("designs":
            "fashion-lrn", "fashion-pooling", "fashion-towers", "figure-1", "overfit-augmentation", "overfit-dropout",
            "fashion-weight-decay", "fashion-depth", "fashion-modern"),
        design_commits: option_env!("ALEXNET_BURN_DESIGNS").unwrap_or_default(),
        scales: built_in!("scales":
            "mini", "fashion", "figure-1", "overfit", "cifar10", "cifar10-80sec", "cifar10-19pct", "cifar10-18pct", "cifar10-conv-local-13pct",
            "cifar10-conv-local-11pct", "tiny-imagenet", "imagenet"),
        data_sets: built_in!("../datasets":
            "fashion-mnist-mini", "fashion-mnist", "fashion-mnist-held-out", "cifar10", "cifar100", "tiny-imagenet-200", "imagenet",
            "class-folders"),
        data_folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets"),
    })
}
