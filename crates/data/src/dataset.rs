use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::checksum::hex;
use crate::decode::decode;
use crate::layout;
use crate::{DataError, Files, Manifest};

/// Decoded images are kept in memory up to this many bytes a split; beyond it each is decoded when
/// it is needed.
const MEMORY_LIMIT: usize = 4 << 30;

/// The share of the training images set aside for validation.
const VALIDATION_SHARE: usize = 10;

/// A data set with its three disjoint splits.
#[derive(Debug)]
pub struct Dataset {
    /// Its manifest's name.
    pub name: String,
    /// SHA-256 over pixels and labels (over names and labels where images stay on disk), in
    /// hexadecimal: equal for equal images, however they were packed.
    pub checksum: String,
    /// Class names in the order of their labels.
    pub classes: Vec<String>,
    /// Colour channels.
    pub channels: usize,
    /// Side of an image in pixels.
    pub size: usize,
    /// What the network learns from.
    pub train: Split,
    /// A class-balanced tenth of the official training images: what schedules may look at.
    pub validation: Split,
    /// The official test images: read once, by the final weights.
    pub test: Split,
}

/// Some images of a data set.
#[derive(Debug, Clone)]
pub struct Split {
    source: Arc<LabelledImages>,
    indices: Arc<Vec<usize>>,
    channels: usize,
    size: usize,
}

/// Images with labels, and a key for each that names it within the data set.
#[derive(Debug)]
pub(crate) struct LabelledImages {
    pub(crate) images: Images,
    pub(crate) labels: Vec<usize>,
    pub(crate) keys: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Images {
    /// `[images, channels, size, size]`.
    Memory(Vec<u8>),
    /// Decoded when needed.
    Disk(Arc<Files>, Vec<String>),
}

impl Images {
    /// Images in files: decoded now if they fit into memory.
    pub(crate) fn on_disk(
        files: Arc<Files>,
        names: &[String],
        channels: usize,
        size: usize,
    ) -> Result<Self, DataError> {
        if names.len() * channels * size * size > MEMORY_LIMIT {
            return Ok(Self::Disk(files, names.to_vec()));
        }
        let decoded: Vec<Vec<u8>> = names
            .par_iter()
            .map(|name| read_image(&files, name, channels, size))
            .collect::<Result<_, _>>()?;
        Ok(Self::Memory(decoded.concat()))
    }
}

fn read_image(files: &Files, name: &str, channels: usize, size: usize) -> Result<Vec<u8>, DataError> {
    let bytes = files.read(name)?;
    decode(&bytes, channels, size).map_err(|problem| DataError::file(files.display(name), problem))
}

impl Dataset {
    /// Reads a data set from a folder, a tar or a tar.gz.
    ///
    /// # Errors
    /// If a file is missing, broken or not what the manifest says.
    pub fn open(manifest: &Manifest, path: &Path) -> Result<Self, DataError> {
        if !matches!(manifest.channels, 1 | 3) || manifest.size == 0 {
            return Err(DataError::dataset(&manifest.name, "channels must be 1 or 3, and size at least 1"));
        }
        let official = layout::read(Files::open(path)?, manifest)?;
        let (train, test) = (Arc::new(official.train), Arc::new(official.test));
        if let Some(sizes) = manifest.images {
            let found = (train.labels.len(), test.labels.len());
            if found != (sizes.train, sizes.test) {
                return Err(DataError::dataset(
                    &manifest.name,
                    format!(
                        "{} has {} training and {} test images, expected {} and {}; \
                         for a subset write a manifest of its own, without `images`",
                        path.display(),
                        found.0,
                        found.1,
                        sizes.train,
                        sizes.test,
                    ),
                ));
            }
        }
        let mut hash = Sha256::new();
        digest(&mut hash, &train);
        digest(&mut hash, &test);
        let (rest, validation) = set_aside(&train, official.classes.len());
        if rest.is_empty() || validation.is_empty() || test.labels.is_empty() {
            return Err(DataError::dataset(
                &manifest.name,
                "a split is empty: each class needs at least two training images",
            ));
        }
        let split = |source: &Arc<LabelledImages>, indices: Vec<usize>| Split {
            source: source.clone(),
            indices: Arc::new(indices),
            channels: manifest.channels,
            size: manifest.size,
        };
        Ok(Self {
            name: manifest.name.clone(),
            checksum: hex(&hash.finalize()),
            classes: official.classes,
            channels: manifest.channels,
            size: manifest.size,
            train: split(&train, rest),
            validation: split(&train, validation),
            test: split(&test, (0..test.labels.len()).collect()),
        })
    }
}

fn digest(hash: &mut Sha256, set: &LabelledImages) {
    for label in &set.labels {
        hash.update((*label as u32).to_le_bytes());
    }
    match &set.images {
        Images::Memory(pixels) => hash.update(pixels),
        Images::Disk(_, names) => names.iter().for_each(|name| hash.update(name)),
    }
}

/// Sets a tenth of each class aside for validation: the samples whose keys hash lowest. Which they
/// are depends on nothing but the data set.
fn set_aside(set: &LabelledImages, classes: usize) -> (Vec<usize>, Vec<usize>) {
    let mut by_class: BTreeMap<usize, Vec<([u8; 32], usize)>> = BTreeMap::new();
    for (index, (&label, key)) in set.labels.iter().zip(&set.keys).enumerate() {
        by_class.entry(label).or_default().push((Sha256::digest(key).into(), index));
    }
    let (mut rest, mut validation) = (Vec::new(), Vec::new());
    for mut samples in (0..classes).filter_map(|label| by_class.remove(&label)) {
        samples.sort_unstable();
        let share = (samples.len() / VALIDATION_SHARE).max(usize::from(samples.len() > 1));
        validation.extend(samples[..share].iter().map(|(_, index)| *index));
        rest.extend(samples[share..].iter().map(|(_, index)| *index));
    }
    rest.sort_unstable();
    validation.sort_unstable();
    (rest, validation)
}

impl Split {
    /// How many images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// `[channels, size]` of every image.
    pub fn image_shape(&self) -> [usize; 2] {
        [self.channels, self.size]
    }

    /// The first `count` images, or all if there are fewer.
    pub fn first(&self, count: usize) -> Split {
        self.range(0, count.min(self.len()))
    }

    /// Images `start` to `end`.
    pub(crate) fn range(&self, start: usize, end: usize) -> Split {
        Split { indices: Arc::new(self.indices[start..end].to_vec()), ..self.clone() }
    }

    /// An image's number within its official split: what its random draws are keyed by.
    pub fn sample(&self, index: usize) -> usize {
        self.indices[index]
    }

    /// An image's key: its path, or split and number.
    pub fn key(&self, index: usize) -> &str {
        &self.source.keys[self.indices[index]]
    }

    /// An image's label.
    pub fn label(&self, index: usize) -> usize {
        self.source.labels[self.indices[index]]
    }

    /// An image's pixels, `[channels, size, size]`, 0–255.
    ///
    /// # Errors
    /// If it has to be read from disk and cannot.
    pub fn image(&self, index: usize) -> Result<std::borrow::Cow<'_, [u8]>, DataError> {
        let at = self.indices[index];
        let bytes = self.channels * self.size * self.size;
        match &self.source.images {
            Images::Memory(pixels) => Ok(pixels[at * bytes..(at + 1) * bytes].into()),
            Images::Disk(files, names) => {
                read_image(files, &names[at], self.channels, self.size).map(Into::into)
            }
        }
    }
}
