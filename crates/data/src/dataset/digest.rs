//! The checksum of a data set's images and labels.

#[cfg(feature = "parquet")]
use std::{fs::File, path::PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

#[cfg(feature = "parquet")]
use crate::archive;
use crate::checksum::hex;
use crate::samples::{Images, LabelledImages};
use crate::{DataError, sample};

/// Returns the SHA-256 of these images and labels, in order, in hexadecimal.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn of(sets: &[&LabelledImages]) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    for set in sets {
        digest(&mut hash, set)?;
    }
    Ok(hex(&hash.finalize()))
}

fn digest(hash: &mut Sha256, set: &LabelledImages) -> Result<(), DataError> {
    for label in &set.labels {
        hash.update(label.to_le_bytes());
    }
    match &set.images {
        Images::Memory(pixels) => hash.update(pixels),
        Images::Files(files) => {
            let of_file =
                |name: &String| files.by_position(name, |length, read| sample::digest(length, read));
            for (name, sample) in set.keys.iter().zip(in_parallel(&set.keys, of_file)?) {
                hash.update(name);
                hash.update(sample);
            }
        }
        Images::Shards(shards) => shards.checksums().for_each(|checksum| hash.update(checksum)),
        // Single photographs are no data set.
        #[cfg(feature = "tensors")]
        Images::Paths(_) => {}
        #[cfg(feature = "parquet")]
        Images::Table(table) => {
            set.keys.iter().for_each(|key| hash.update(key));
            let of_file = |path: &PathBuf| {
                let file = File::open(path).map_err(DataError::read(path))?;
                let length = file.metadata().map_err(DataError::read(path))?.len();
                sample::digest(length, |offset, buffer| archive::read_exact_at(&file, buffer, offset))
                    .map_err(DataError::read(path))
            };
            in_parallel(table.files(), of_file)?.iter().for_each(|sample| hash.update(sample));
        }
    }
    Ok(())
}

fn in_parallel<T: Sync>(
    files: &[T],
    digest: impl Fn(&T) -> Result<[u8; 32], DataError> + Send + Sync,
) -> Result<Vec<[u8; 32]>, DataError> {
    files.par_iter().map(digest).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Files, Split};

    #[test]
    fn another_image_under_the_same_name_is_another_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let whole = vec![7; 100_000];
        let checksum = |name: &str, bytes: &[u8], label: u32| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            let files = Arc::new(Files::open(folder.path()).unwrap());
            let keys = vec![name.to_owned()];
            let images = Images::Files(files);
            of(&[&LabelledImages { images, labels: vec![label], keys, boxes: Vec::new() }]).unwrap()
        };
        let first = checksum("1.jpg", &whole, 0);
        assert_eq!(first, checksum("1.jpg", &whole, 0));
        let mut changed = whole.clone();
        changed[99_999] = 8;
        for other in [
            checksum("1.jpg", &changed, 0),
            checksum("1.jpg", &whole[1..], 0),
            checksum("1.jpg", &whole, 1),
            checksum("2.jpg", &whole, 0),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_split_of_other_images_has_another_checksum() {
        let split = |pixels: Vec<u8>, labels: Vec<u32>| {
            let images = Images::Memory(pixels);
            Split::all(LabelledImages { images, labels, keys: Vec::new(), boxes: Vec::new() }, [1, 2])
        };
        let one = split(vec![7; 12], vec![0, 1, 2]);
        assert_eq!(one.checksum().unwrap(), split(vec![7; 12], vec![0, 1, 2]).checksum().unwrap());
        // A pixel of the image in the middle.
        let mut pixels = vec![7; 12];
        pixels[5] = 8;
        for other in [
            split(pixels, vec![0, 1, 2]),
            split(vec![7; 12], vec![0, 2, 1]),
            one.select(&[0, 2]),
            one.select(&[2, 1, 0]),
        ] {
            assert_ne!(one.checksum().unwrap(), other.checksum().unwrap());
        }
    }
}
