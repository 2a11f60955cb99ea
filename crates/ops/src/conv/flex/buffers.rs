//! Buffers that each thread keeps.

use std::cell::RefCell;

/// Buffers of one thread, reused for all tiles.
#[derive(Default)]
pub(super) struct Buffers {
    /// The source under a tile.
    pub(super) window: Vec<f32>,
    /// Sums of a panel of planes.
    pub(super) sums: Vec<f32>,
    /// The source at Winograd's points.
    pub(super) transformed: Vec<f32>,
    /// Products at Winograd's points.
    pub(super) products: Vec<f32>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Calls `work` with the buffers of the current thread.
pub(super) fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    BUFFERS.with_borrow_mut(work)
}

/// Returns the first `length` elements, of arbitrary content.
pub(super) fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}
