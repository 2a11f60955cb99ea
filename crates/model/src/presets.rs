//! The networks of `presets/*.toml`, built into the binary as text.
//!
//! The files are TOML; reading TOML is the caller's business, so this crate hands out their text.

/// A named config file.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// The name to ask for it by.
    pub name: &'static str,
    /// The file's text, in TOML.
    pub toml: &'static str,
}

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        /// Every preset, the paper's network first.
        pub const ALL: &[Preset] = &[
            $(Preset { name: $name, toml: include_str!(concat!("../presets/", $name, ".toml")) }),+
        ];
    };
}

presets!(
    "alexnet-2012",
    "alexnet-2012-half",
    "alexnet-2012-as-run",
    "alexnet-2012-as-run-half",
    "alexnet-2012-146",
    "alexnet-2012-147",
    "alexnet-2012-148",
    "alexnet-2012-150",
    "alexnet-2012-166",
    "alexnet-2012-167",
    "caffe-alexnet",
    "caffenet",
    "one-weird-trick",
    "torchvision",
    "zfnet",
    "cifar10-80sec",
    "cifar10-19pct",
    "cifar10-18pct",
    "cifar10-conv-local-13pct",
    "cifar10-conv-local-11pct",
    "mini",
    "cifar10",
    "linear"
);
