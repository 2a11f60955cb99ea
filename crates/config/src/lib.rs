//! Configs in TOML: [`parse`] with errors that name the key, [`Diff`]s between configs by dotted key, and
//! [`BuiltIn`] files selected by name.

mod built_in;
mod diff;
mod error;
mod read;

pub use built_in::{BuiltIn, check_name, load};
pub use diff::{Diff, Difference, differences, plain_values};
pub use error::ConfigError;
pub use read::{from_value, parse};
pub use toml::Value;
