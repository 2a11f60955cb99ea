//! Work on several threads: rayon's parallel iterators. WebAssembly has no threads; there the standard library's iterators have
//! their names.

#[cfg(all(not(target_family = "wasm"), feature = "flex"))]
pub(crate) use rayon::current_num_threads;
#[cfg(not(target_family = "wasm"))]
pub(crate) use rayon::prelude::*;

#[cfg(target_family = "wasm")]
pub(crate) use one_thread::*;

#[cfg(target_family = "wasm")]
mod one_thread {
    use std::slice::{Chunks, ChunksExactMut, ChunksMut};

    pub(crate) fn current_num_threads() -> usize {
        1
    }

    pub(crate) trait IndexedParallelIterator: Iterator {}

    impl<I: Iterator> IndexedParallelIterator for I {}

    pub(crate) trait IntoParallelIterator: IntoIterator + Sized {
        fn into_par_iter(self) -> Self::IntoIter {
            self.into_iter()
        }
    }

    impl<I: IntoIterator> IntoParallelIterator for I {}

    pub(crate) trait ParallelSlice<T> {
        fn par_chunks(&self, size: usize) -> Chunks<'_, T>;
        fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T>;
        fn par_chunks_exact_mut(&mut self, size: usize) -> ChunksExactMut<'_, T>;
        fn par_iter_mut(&mut self) -> std::slice::IterMut<'_, T>;
    }

    impl<T> ParallelSlice<T> for [T] {
        fn par_chunks(&self, size: usize) -> Chunks<'_, T> {
            self.chunks(size)
        }

        fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T> {
            self.chunks_mut(size)
        }

        fn par_chunks_exact_mut(&mut self, size: usize) -> ChunksExactMut<'_, T> {
            self.chunks_exact_mut(size)
        }

        fn par_iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
            self.iter_mut()
        }
    }
}
