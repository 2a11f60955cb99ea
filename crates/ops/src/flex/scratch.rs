//! A buffer for the data between two operations that run image by image. Each thread keeps its own, for a few
//! images.

use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = RefCell::default();
}

/// Calls `work` with `length` elements of arbitrary content.
pub(crate) fn scratch<T>(length: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out and put back, because work that waits for other tasks may run one that also needs the buffer.
    let mut memory = SCRATCH.take();
    if memory.len() < length {
        memory.resize(length, 0.0);
    }
    let result = work(&mut memory[..length]);
    SCRATCH.set(memory);
    result
}
