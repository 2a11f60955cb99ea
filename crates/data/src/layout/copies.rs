//! Finds copies of images within a data set: an archive that was downloaded twice, a folder unpacked into itself,
//! or validation images sorted into classes beside the unsorted ones.

use std::collections::{HashMap, HashSet};

use super::Source;
use crate::files::base;
use crate::samples::{Images, LabelledImages};
use crate::{DataError, Files};

/// The kind under which copies are counted.
const COPIES: &str = "copies (same split, class, name and bytes)";

/// Keeps the first of the images that agree in split, class, file name and bytes. The others are counted as passed
/// over. Names alone are not enough: cameras and videos repeat them.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn pass_over(files: &Files, source: &mut Source) -> Result<(), DataError> {
    for (_, images) in &mut source.splits {
        if matches!(images.images, Images::Files(_)) {
            let copies = copies(files, images)?;
            copies.iter().for_each(|&at| files.pass_over(&images.keys[at], COPIES));
            remove(images, &copies);
        }
    }
    Ok(())
}

/// Returns the sorted numbers of the images that are copies of earlier ones.
fn copies(files: &Files, images: &LabelledImages) -> Result<Vec<usize>, DataError> {
    let mut by_name: HashMap<(u32, &str), Vec<usize>> = HashMap::with_capacity(images.labels.len());
    for (at, (key, label)) in images.keys.iter().zip(&images.labels).enumerate() {
        by_name.entry((*label, base(key))).or_default().push(at);
    }
    let mut copies = Vec::new();
    for alike in by_name.into_values().filter(|alike| alike.len() > 1) {
        let mut by_length: HashMap<u64, Vec<usize>> = HashMap::new();
        for at in alike {
            by_length.entry(files.length(&images.keys[at])?).or_default().push(at);
        }
        for alike in by_length.into_values().filter(|alike| alike.len() > 1) {
            let mut seen: HashSet<Vec<u8>> = HashSet::new();
            for at in alike {
                if !seen.insert(files.first(&images.keys[at], usize::MAX)?) {
                    copies.push(at);
                }
            }
        }
    }
    copies.sort_unstable();
    Ok(copies)
}

/// Removes images, given their sorted numbers.
fn remove(images: &mut LabelledImages, copies: &[usize]) {
    fn kept<T>(values: &mut Vec<T>, copies: &[usize]) {
        let mut at = 0;
        values.retain(|_| {
            at += 1;
            copies.binary_search(&(at - 1)).is_err()
        });
    }
    kept(&mut images.labels, copies);
    kept(&mut images.keys, copies);
    kept(&mut images.boxes, copies);
}
