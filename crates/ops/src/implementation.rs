use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which form of the operations runs, where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Implementation {
    /// The kernels of this crate where the backend has one.
    #[default]
    Fast,
    /// [`composed`](crate::composed) everywhere: to see what the kernels are worth.
    Composed,
}

static KERNELS: AtomicBool = AtomicBool::new(true);

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Composed => "composed",
        })
    }
}

/// Chooses the form of the operations, for the whole process.
pub fn use_implementation(implementation: Implementation) {
    KERNELS.store(implementation == Implementation::Fast, Ordering::Relaxed);
}

/// The form in use.
pub fn implementation() -> Implementation {
    if KERNELS.load(Ordering::Relaxed) { Implementation::Fast } else { Implementation::Composed }
}
