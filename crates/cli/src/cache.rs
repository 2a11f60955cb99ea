//! The user's cache folder.

use std::path::PathBuf;

/// Returns the folder for files that can be made or fetched again: `XDG_CACHE_HOME`, or `.cache` in the home folder.
pub(crate) fn user_cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir)
}
