use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Features of images in a file that grows during extraction, one row of f32 per image.
///
/// A second file records the source of the features: the network's checksum and the data's. Rows that already
/// exist are not extracted again.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    file: File,
    about: About,
    rows: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    /// The network and data that the features come from.
    of: String,
    /// Numbers per image.
    width: usize,
}

/// The reason why features cannot be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `write` or `lock`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Another process is extracting into the file.
    #[error("{}: another process is extracting features into it", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

impl FeatureFile {
    /// Opens `path` for features `of` a network and data, with `width` numbers per image. Existing features
    /// from another source are discarded.
    ///
    /// # Errors
    /// If the file or its companion cannot be read or written.
    pub fn open(path: &Path, of: &str, width: usize) -> Result<Self, FeaturesError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| FeaturesError::Io { action, path, source }
        };
        let about = About { of: of.to_owned(), width };
        let beside = path.with_extension("json");
        let before = std::fs::read(&beside).ok().and_then(|text| serde_json::from_slice::<About>(&text).ok());
        let same = before.as_ref() == Some(&about);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(io("write", path))?;
        // The lock ends with the process.
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => FeaturesError::Locked { path: path.to_owned() },
            TryLockError::Error(error) => io("lock", path)(error),
        })?;
        if !same {
            file.set_len(0).map_err(io("write", path))?;
        }
        if !same {
            let text = serde_json::to_vec(&about).expect("plain values");
            std::fs::write(&beside, text).map_err(io("write", &beside))?;
        }
        let row = 4 * width.max(1) as u64;
        let rows = file.metadata().map_err(io("read", path))?.len() / row;
        // A row that a kill truncated is extracted again.
        file.set_len(rows * row).map_err(io("write", path))?;
        file.seek(SeekFrom::End(0)).map_err(io("write", path))?;
        Ok(Self { path: path.to_owned(), file, about, rows: rows as usize })
    }

    /// The number of images with features in the file.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers per image.
    pub fn width(&self) -> usize {
        self.about.width
    }

    /// Appends the features of the next images, row by row.
    ///
    /// # Errors
    /// If they cannot be written. The earlier rows remain.
    ///
    /// # Panics
    /// If `features` is not whole rows.
    pub fn push(&mut self, features: &[f32]) -> Result<(), FeaturesError> {
        assert_eq!(features.len() % self.about.width, 0, "whole rows");
        let bytes: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
        let path = &self.path;
        let io = |source| FeaturesError::Io { action: "write", path: path.clone(), source };
        let end = SeekFrom::Start(4 * (self.rows * self.about.width) as u64);
        self.file.seek(end).and_then(|_| self.file.write_all(&bytes)).map_err(io)?;
        self.rows += features.len() / self.about.width;
        Ok(())
    }

    /// Returns the features of some images.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&mut self, rows: Range<usize>) -> Result<Vec<f32>, FeaturesError> {
        let width = self.about.width;
        let mut bytes = vec![0; rows.len() * width * 4];
        let path = &self.path;
        let io = |source| FeaturesError::Io { action: "read", path: path.clone(), source };
        let start = SeekFrom::Start((rows.start * width * 4) as u64);
        self.file.seek(start).and_then(|_| self.file.read_exact(&mut bytes)).map_err(io)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extraction_goes_on_where_it_was_and_other_features_begin_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fc7.f32");
        let mut file = FeatureFile::open(&path, "a", 3).unwrap();
        file.push(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        drop(file);
        // A kill can leave half a row at the end.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&[7; 6]).unwrap();
        let mut file = FeatureFile::open(&path, "a", 3).unwrap();
        assert_eq!(file.rows(), 2);
        file.push(&[7.0, 8.0, 9.0]).unwrap();
        assert_eq!(file.read(1..3).unwrap(), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert!(file.read(2..4).is_err());
        assert!(matches!(FeatureFile::open(&path, "b", 3), Err(FeaturesError::Locked { .. })));
        drop(file);
        assert_eq!(FeatureFile::open(&path, "b", 3).unwrap().rows(), 0);
        assert!(FeatureFile::open(&folder.path().join("no/such"), "a", 3).is_err());
    }
}
