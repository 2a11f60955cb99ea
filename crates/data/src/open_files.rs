//! Bounds the number of open files, however many files are read.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

/// The largest number of files kept open. Some systems allow a process only 256.
const OPEN: NonZeroUsize = NonZeroUsize::new(100).expect("not zero");

/// Files that are opened on demand. The most recently used stay open. Reads are positional, so threads can share
/// files.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    paths: Vec<PathBuf>,
    open: Mutex<LruCache<usize, Arc<File>>>,
}

impl Default for OpenFiles {
    fn default() -> Self {
        Self { paths: Vec::new(), open: Mutex::new(LruCache::new(OPEN)) }
    }
}

impl OpenFiles {
    /// Adds a file without opening it, and returns its number.
    pub(crate) fn add(&mut self, path: PathBuf) -> usize {
        self.paths.push(path);
        self.paths.len() - 1
    }

    pub(crate) fn path(&self, number: usize) -> &PathBuf {
        &self.paths[number]
    }

    /// Returns a file by its number.
    pub(crate) fn get(&self, number: usize) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.try_get_or_insert(number, || File::open(&self.paths[number]).map(Arc::new)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::read_exact_at;

    #[test]
    fn any_number_of_files_is_read_with_a_few_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = OpenFiles::default();
        for number in 0..3 * OPEN.get() {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, (number as u32).to_le_bytes()).unwrap();
            assert_eq!(files.add(path), number);
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in (0..3 * OPEN.get()).chain([0, 5, 0]) {
                        let mut bytes = [0; 4];
                        read_exact_at(&files.get(number).unwrap(), &mut bytes, 0).unwrap();
                        assert_eq!(u32::from_le_bytes(bytes), number as u32);
                        assert!(files.open.lock().unwrap().len() <= OPEN.get());
                    }
                });
            }
        });
    }
}
