//! Buffers for data that lives as long as a task: between two operations that run image by image, or beside one. Each
//! thread keeps its own, since threads that allocate such buffers all the time wait for the one heap.

use std::cell::RefCell;

thread_local! {
    /// As many buffers as uses are nested. The last one returned is taken first.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = RefCell::default();
}

/// Calls `work` with `length` elements of arbitrary content.
pub(crate) fn scratch<T>(length: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out and put back, because work may need another buffer, as may a task that runs while it waits.
    let mut memory = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if memory.len() < length {
        memory.resize(length, 0.0);
    }
    let result = work(&mut memory[..length]);
    SCRATCH.with_borrow_mut(|buffers| buffers.push(memory));
    result
}
