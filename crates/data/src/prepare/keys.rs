//! The keys of images in shards, and the checksum that recognises the source again.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::DataError;
use crate::checksum::hex;
use crate::files::stem;
use crate::label::Class;
use crate::layout;
use crate::samples::LabelledImages;

/// Returns the keys of all images, unique in the data set: split, class and file name without its extension.
pub(super) fn keys(data: &layout::Source) -> Result<Vec<Vec<String>>, DataError> {
    let mut seen = HashSet::new();
    // In a WebDataset the key ends at the first dot of a name. Tabs and line breaks separate the fields of an
    // index.
    let plain = |text: &str| text.replace(['.', '\t', '\n', '\r', '\\', '/'], "_");
    let mut key = |split: &str, class: &Class, name: &str| {
        let whole = format!("{}/{}/{}", plain(split), plain(&class.id), plain(stem(name)));
        let mut unique = whole.clone();
        let mut number = 1;
        while !seen.insert(unique.clone()) {
            number += 1;
            unique = format!("{whole}-{number}");
        }
        unique
    };
    let of_split = |(split, images): &(String, LabelledImages)| -> Result<Vec<String>, DataError> {
        let of =
            |(at, label): (usize, &u32)| Ok(key(split, &data.classes[*label as usize], &images.key(at)?));
        images.labels.iter().enumerate().map(of).collect()
    };
    data.splits.iter().map(of_split).collect()
}

/// Returns a checksum of the source over names, labels and lengths.
pub(super) fn fingerprint(data: &layout::Source, keys: &[Vec<String>]) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    for ((split, images), keys) in data.splits.iter().zip(keys) {
        hash.update(format!("{split}\n"));
        for (at, (key, label)) in keys.iter().zip(&images.labels).enumerate() {
            hash.update(format!("{key}\t{label}\t{}\n", images.file_length(at)?));
        }
    }
    Ok(hex(&hash.finalize()))
}
