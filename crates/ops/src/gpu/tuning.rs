//! How thoroughly kernels are tried out, and the file that keeps the choices.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How thoroughly GPU kernels are tried out for each new shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tuning {
    /// The first kernel that reaches 60 % of the device's limit is taken. The quickest.
    #[default]
    Minimal,
    /// The first that reaches 80 %. Burn's default.
    Balanced,
    /// All are tried.
    Full,
}

impl Tuning {
    /// All levels.
    pub const ALL: [Tuning; 3] = [Self::Minimal, Self::Balanced, Self::Full];
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimal => "minimal",
            Self::Balanced => "balanced",
            Self::Full => "full",
        })
    }
}

/// There is no tuning level of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no tuning level `{0}`; choose one of minimal, balanced, full")]
pub struct TuningError(String);

impl FromStr for Tuning {
    type Err = TuningError;

    fn from_str(text: &str) -> Result<Self, TuningError> {
        let found = Self::ALL.into_iter().find(|level| level.to_string() == text);
        found.ok_or_else(|| TuningError(text.to_owned()))
    }
}

/// Where chosen and compiled kernels are kept between processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptKernels {
    /// Nowhere: this build tries none out (feature `autotune`).
    Nowhere,
    /// In this file, with the level that was asked for.
    File(PathBuf),
    /// Where this `cubecl.toml` or `burn.toml` says; its level counts as well.
    AsConfigured(PathBuf),
}

impl KeptKernels {
    /// Sets for the whole process how thoroughly kernels are tried out and the folder of the file that keeps them. A
    /// `cubecl.toml`, or a `burn.toml` with a section `cubecl`, in the current folder or above it, prevails, and CubeCL's
    /// environment variables prevail over both. Call it before a device is used.
    ///
    /// Several processes may share the file. One that cannot open it tries its kernels out and keeps them to itself.
    #[must_use]
    pub fn set(level: Tuning, folder: &Path) -> Self {
        configuration::set(level, folder)
    }
}

#[cfg(feature = "autotune")]
mod configuration {
    use std::path::{Path, PathBuf};

    use burn_cubecl::cubecl::config::autotune::AutotuneLevel;
    use burn_cubecl::cubecl::config::cache::CacheConfig;
    use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
    use burn_cubecl::cubecl::environment;

    use super::{KeptKernels, Tuning};

    pub(super) fn set(level: Tuning, folder: &Path) -> KeptKernels {
        if let Some(file) = existing() {
            return KeptKernels::AsConfigured(file);
        }
        let mut config = CubeClRuntimeConfig::default();
        config.autotune.level = match level {
            Tuning::Minimal => AutotuneLevel::Minimal,
            Tuning::Balanced => AutotuneLevel::Balanced,
            Tuning::Full => AutotuneLevel::Full,
        };
        config.environment.path = CacheConfig::Directory(folder.to_owned());
        CubeClRuntimeConfig::try_set(config.override_from_env());
        KeptKernels::File(environment::path())
    }

    /// Returns the configuration file that CubeCL would find.
    fn existing() -> Option<PathBuf> {
        let folder = std::env::current_dir().ok()?;
        folder.ancestors().find_map(|folder| {
            let whole = CubeClRuntimeConfig::file_names().iter().map(|name| folder.join(name));
            let section = CubeClRuntimeConfig::section_file_names().iter();
            let section = section.filter_map(|(name, section)| {
                let path = folder.join(name);
                CubeClRuntimeConfig::from_section_file_path(&path, section).is_ok().then_some(path)
            });
            whole.filter(|path| path.is_file()).chain(section).next()
        })
    }
}

#[cfg(not(feature = "autotune"))]
mod configuration {
    use std::path::Path;

    use super::{KeptKernels, Tuning};

    pub(super) fn set(_: Tuning, _: &Path) -> KeptKernels {
        KeptKernels::Nowhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_round_trip() {
        for level in Tuning::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        let error = "best".parse::<Tuning>().unwrap_err().to_string();
        assert!(error.contains("`best`") && error.contains("balanced"), "{error}");
    }
}
