//! Reads the shards of a prepared data set.

use std::path::Path;

use super::Source;
use crate::DataError;
use crate::samples::{Images, LabelledImages};
use crate::shards::{Prepared, Shards};

/// Opens a prepared data set. Only the manifest and the indices are read.
pub(crate) fn open(folder: &Path) -> Result<Source, DataError> {
    let manifest = Prepared::read(folder)?;
    let splits = manifest.splits.iter().map(|split| {
        let (shards, labels) = Shards::open(folder, &manifest, split)?;
        let images = Images::Shards(shards);
        Ok((split.name.clone(), LabelledImages { images, labels, keys: Vec::new(), boxes: Vec::new() }))
    });
    Ok(Source {
        layout: "prepared shards",
        splits: splits.collect::<Result<_, DataError>>()?,
        shape: Some([manifest.channels, manifest.size]),
        checksum: Some(manifest.checksum()),
        passed_over: manifest.passed_over,
        classes: manifest.classes,
    })
}
