//! What lies between two operations that are done image by image: a few images, in memory that a thread keeps.

use std::cell::RefCell;

thread_local! {
    static BETWEEN: RefCell<Vec<f32>> = RefCell::default();
}

/// Hands `work` so many elements, with whatever is in them.
pub(super) fn between<T>(length: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out and put back, so that work that waits for other tasks may be given one that needs some too.
    let mut memory = BETWEEN.take();
    if memory.len() < length {
        memory.resize(length, 0.0);
    }
    let result = work(&mut memory[..length]);
    BETWEEN.set(memory);
    result
}
