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

/// Chooses the form of the operations, for the whole process.
pub fn use_implementation(implementation: Implementation) {
    KERNELS.store(implementation == Implementation::Fast, Ordering::Relaxed);
}

#[cfg_attr(not(feature = "flex"), allow(dead_code))]
pub(crate) fn kernels() -> bool {
    KERNELS.load(Ordering::Relaxed)
}
