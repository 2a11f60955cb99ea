//! Ctrl-C.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

/// The command was interrupted; what it had is kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Interrupted(pub(crate) String);

/// Set by the first Ctrl-C. Commands are handed it; what is deep below one, such as a download that weights turn out to
/// need, asks here.
pub(crate) static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
