use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::checksum::hex;
use crate::label::{BoundingBox, Class};
use crate::layout;
use crate::samples::{Images, LabelledImages, Pixels, Scratch};
use crate::{DataError, HeldOut, Manifest, PassedOver};

mod aside;
mod digest;
#[cfg(feature = "tensors")]
mod part;

use aside::{Aside, set_aside};

/// A data set with its three disjoint splits.
#[derive(Debug)]
pub struct Dataset {
    /// The name in its manifest.
    pub name: String,
    /// SHA-256 in hexadecimal over pixels and labels, so equal images give equal checksums however they are packed, unless a
    /// test split is set aside by the images' names, which it then covers as well.
    /// If the images stay on disk, it covers their names and labels, the lengths of their files and some blocks of
    /// each file: the first, middle and last 4 KiB, and 4 KiB of each MiB. For shards, it covers their own
    /// checksums.
    pub checksum: String,
    /// Files that were not used.
    pub passed_over: PassedOver,
    /// The folder, if it is a prepared data set.
    pub prepared: Option<PathBuf>,
    /// Class names in the order of their labels.
    pub classes: Vec<String>,
    /// The common name of each class.
    pub class_names: Vec<String>,
    /// Colour channels.
    pub channels: usize,
    /// Side of an image in pixels.
    pub size: usize,
    /// The images that the network is trained on.
    pub train: Split,
    /// A class-balanced tenth of the official training images, which schedules may use.
    pub validation: Split,
    /// The official test images, or training images that the manifest holds out instead. Only the final weights read
    /// them, once. A data set opened for inspection may have none.
    pub test: Split,
    /// Whether there were no test images, so that a tenth of each class was set aside for the test.
    pub test_set_aside: bool,
    /// The number of images of a split `val` beside `test`, which are not used.
    pub unused: usize,
    /// The mean width and height of the training images before they were scaled, if all have been decoded.
    pub original_sides: Option<[usize; 2]>,
}

/// A subset of a data set's images.
#[derive(Debug, Clone)]
pub struct Split {
    pub(crate) source: Arc<LabelledImages>,
    indices: Arc<Vec<u32>>,
    channels: usize,
    size: usize,
    /// The label of each of the data set's classes, if only some take part.
    labels: Option<Arc<Vec<u32>>>,
    /// Pixels that replace those of every image.
    stand_in: Option<Arc<Vec<u8>>>,
}

impl Dataset {
    /// Reads a data set from a folder, a tar or a tar.gz.
    ///
    /// # Errors
    /// If a file is missing, broken or different from what the manifest says.
    pub fn open(manifest: &Manifest, path: &Path) -> Result<Self, DataError> {
        if !matches!(manifest.channels, 1 | 3) || manifest.size == 0 {
            return Err(DataError::dataset(&manifest.name, "channels must be 1 or 3, and size at least 1"));
        }
        Self::of(manifest, path, layout::read(path, Some(manifest))?)
    }

    /// Reads a data set from the contents of MNIST's four files, gzipped or not: training images and labels, test images and labels.
    ///
    /// # Errors
    /// If a file is broken or different from what the manifest says.
    pub fn of_idx_files(manifest: &Manifest, files: [Vec<u8>; 4]) -> Result<Self, DataError> {
        Self::of(manifest, Path::new(&manifest.name), layout::idx_in_memory(manifest, files)?)
    }

    fn of(manifest: &Manifest, path: &Path, mut source: layout::Source) -> Result<Self, DataError> {
        if !manifest.classes.is_empty() && source.classes.len() != manifest.classes.len() {
            return Err(DataError::dataset(
                &manifest.name,
                format!(
                    "{} has {} classes, expected {}",
                    path.display(),
                    source.classes.len(),
                    manifest.classes.len()
                ),
            ));
        }
        let shape = source.shape.unwrap_or([manifest.channels, manifest.size]);
        let missing = |split: &str| {
            let problem = format!("{} has no {split} images", path.display());
            DataError::dataset(&manifest.name, problem)
        };
        let (train, original_sides) =
            source.take(&["train"]).ok_or_else(|| missing("training"))?.decoded(shape)?;
        let test = source.take(&["test", "val"]);
        let unused = source.take(&["val"]).map_or(0, |images| images.labels.len());
        let test = match test {
            Some(test) => Some(Arc::new(test.decoded(shape)?.0)),
            None if manifest.images.is_none() => None,
            None => return Err(missing("test (`test/<class>/` or `val/<class>/`)")),
        };
        let aside = match (manifest.held_out, &test) {
            (Some(HeldOut { per_class, after }), _) => Aside::Number { per_class, after },
            (None, Some(_)) => Aside::Nothing,
            (None, None) => Aside::Share,
        };
        let train = Arc::new(train);
        if let Some(sizes) = manifest.images {
            let found = (train.labels.len(), test.as_ref().map_or(0, |test| test.labels.len()));
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
        let set = Self::assemble(&manifest.name, path, source, train, test, shape, aside)?;
        let set = Self { original_sides, unused, ..set };
        if let Some(HeldOut { per_class, after }) = manifest.held_out
            && set.test.len() != per_class * set.classes.len()
        {
            let problem = format!("a class has no {per_class} images after its first {after} to hold out");
            return Err(DataError::dataset(&manifest.name, problem));
        }
        if set.train.is_empty() || set.validation.is_empty() || set.test.is_empty() {
            return Err(DataError::dataset(
                &manifest.name,
                match set.test_set_aside {
                    true => {
                        "a split is empty: each class needs at least three images, one of them for the test"
                    }
                    false => "a split is empty: each class needs at least two training images",
                },
            ));
        }
        Ok(set)
    }

    /// Opens a prepared data set for inspection. It need not have test images.
    ///
    /// # Errors
    /// If `path` is not a prepared data set, or one of its files differs from what its manifest says.
    pub fn open_prepared(path: &Path) -> Result<Self, DataError> {
        let mut source = layout::open_prepared(path)?;
        let shape = source.shape.unwrap_or_default();
        let train = source.take(&["train"]);
        let train =
            train.ok_or_else(|| DataError::file(path.display().to_string(), "has no training images"))?;
        let test = source.take(&["test", "val"]).map(Arc::new);
        let name = path.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
        Self::assemble(&name, path, source, Arc::new(train), test, shape, Aside::Nothing)
    }

    /// Opens the data set at `path` to evaluate weights from elsewhere. Takes its test images, or with `train` its
    /// training images, or all images if it has no splits. Also returns the classes, the name of the split and the
    /// files passed over. Nothing is decoded. The manifest is needed if the files do not identify themselves.
    ///
    /// # Errors
    /// If there is no data set, or it has no such images.
    pub fn open_split(
        path: &Path,
        manifest: Option<&Manifest>,
        train: bool,
    ) -> Result<(Split, Vec<Class>, &'static str, PassedOver), DataError> {
        if let Some(Manifest { name, held_out: Some(_), .. }) = manifest {
            let problem =
                "holds out training images as its test split, which only runs on it can be tested with";
            return Err(DataError::dataset(name, problem));
        }
        let mut source = layout::read(path, manifest)?;
        let of_manifest = manifest.map_or([3, 0], |manifest| [manifest.channels, manifest.size]);
        let [channels, size] = source.shape.unwrap_or(of_manifest);
        let single = source.splits.len() == 1;
        for name in if train { ["train", "test", "val"] } else { ["test", "val", "train"] } {
            if (name == "train") != train && !single {
                continue;
            }
            if let Some(images) = source.take(&[name]).filter(|images| !images.labels.is_empty()) {
                let split = Split::all(images, [channels, size]);
                let called = if single && name == "train" { "all" } else { name };
                return Ok((split, source.classes, called, source.passed_over));
            }
        }
        Err(DataError::file(
            path.display().to_string(),
            if train { "has no training images" } else { "has no test images" },
        ))
    }

    fn assemble(
        name: &str,
        path: &Path,
        source: layout::Source,
        train: Arc<LabelledImages>,
        test: Option<Arc<LabelledImages>>,
        [channels, size]: [usize; 2],
        aside: Aside,
    ) -> Result<Self, DataError> {
        let nothing = || LabelledImages {
            images: Images::Memory(Vec::new()),
            labels: Vec::new(),
            keys: Vec::new(),
            boxes: Vec::new(),
        };
        let test = test.unwrap_or_else(|| Arc::new(nothing()));
        let checksum = match source.checksum {
            Some(checksum) => checksum,
            None => digest::of(&[&train, &test])?,
        };
        let parts = set_aside(&train, source.classes.len(), aside)?;
        // Runs with other test images get other identities.
        let with = |aside: String| hex(&Sha256::digest(format!("{checksum}, {aside}")));
        let checksum = match aside {
            Aside::Nothing => checksum,
            Aside::Number { per_class, after } => {
                with(format!("{per_class} of each class held out after {after}"))
            }
            // They follow from the names of files, which the checksum of pixels does not cover.
            Aside::Share => with(format!("held out {:?}, validation {:?}", parts.held_out, parts.validation)),
        };
        let split = |source: &Arc<LabelledImages>, indices: Vec<u32>| Split {
            source: source.clone(),
            indices: Arc::new(indices),
            channels,
            size,
            labels: None,
            stand_in: None,
        };
        let (classes, class_names) = source.classes.into_iter().map(|Class { id, name }| (id, name)).unzip();
        Ok(Self {
            name: name.to_owned(),
            checksum,
            passed_over: source.passed_over,
            prepared: crate::shards::is_prepared(path).then(|| path.to_owned()),
            classes,
            class_names,
            channels,
            size,
            train: split(&train, parts.rest),
            validation: split(&train, parts.validation),
            test: match aside {
                Aside::Nothing => split(&test, (0..test.labels.len() as u32).collect()),
                _ => split(&train, parts.held_out),
            },
            test_set_aside: aside == Aside::Share,
            unused: 0,
            original_sides: None,
        })
    }

    /// Returns the official training images that are not held out: those for training and those set aside for
    /// validation.
    pub fn official_train(&self) -> Split {
        let mut all = [&self.train, &self.validation].map(|split| split.indices.as_slice()).concat();
        all.sort_unstable();
        Split { indices: Arc::new(all), ..self.train.clone() }
    }
}

impl Split {
    /// Returns a split of all these images.
    pub(crate) fn all(images: LabelledImages, [channels, size]: [usize; 2]) -> Self {
        let indices = Arc::new((0..images.labels.len() as u32).collect());
        Self { source: Arc::new(images), indices, channels, size, labels: None, stand_in: None }
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Returns whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Returns `[channels, size]` of every image.
    pub fn image_shape(&self) -> [usize; 2] {
        [self.channels, self.size]
    }

    /// Returns the SHA-256 in hexadecimal of these images and labels, in order. It covers what
    /// [`Dataset::checksum`] covers.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn checksum(&self) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        hash.update(digest::of(&[&self.source])?);
        for index in 0..self.len() {
            hash.update(format!("{} {}\n", self.sample(index), self.label(index)));
        }
        Ok(hex(&hash.finalize()))
    }

    /// Returns the first `count` images, or all if there are fewer.
    pub fn first(&self, count: usize) -> Split {
        self.range(0, count.min(self.len()))
    }

    /// Returns a split of these images only.
    pub fn select(&self, indices: &[usize]) -> Split {
        Split {
            indices: Arc::new(indices.iter().map(|&index| self.indices[index]).collect()),
            ..self.clone()
        }
    }

    /// Returns images `start` to `end`.
    pub(crate) fn range(&self, start: usize, end: usize) -> Split {
        Split { indices: Arc::new(self.indices[start..end].to_vec()), ..self.clone() }
    }

    /// Returns an image's number within its official split. The number keys the image's random draws.
    pub fn sample(&self, index: usize) -> usize {
        self.indices[index] as usize
    }

    /// Returns an image's key: its path, or its split and number.
    ///
    /// # Errors
    /// If the key must be read from disk and cannot be.
    pub fn key(&self, index: usize) -> Result<Cow<'_, str>, DataError> {
        self.source.key(self.sample(index))
    }

    /// Returns an image's label.
    pub fn label(&self, index: usize) -> usize {
        let class = self.source.labels[self.sample(index)] as usize;
        self.labels.as_ref().map_or(class, |labels| labels[class] as usize)
    }

    /// Returns the boxes of an image's objects, in pixels of the image from which the network's crops are cut.
    /// There are none if none are known.
    ///
    /// # Errors
    /// If the boxes must be read from disk and cannot be.
    pub fn boxes(&self, index: usize) -> Result<Vec<BoundingBox>, DataError> {
        self.source.boxes(self.sample(index))
    }

    /// Returns an image's pixels from memory or disk.
    ///
    /// # Errors
    /// If the image must be read from disk and cannot be.
    pub fn pixels<'a>(&'a self, index: usize, scratch: &'a mut Scratch) -> Result<Pixels<'a>, DataError> {
        if let Some(pixels) = &self.stand_in {
            self.source.file(self.sample(index), &mut scratch.file)?;
            return Ok(Pixels::Planar(pixels));
        }
        self.source.pixels(self.sample(index), [self.channels, self.size], scratch)
    }

    /// Returns the same split, but every image is read without being decoded, and its pixels are those of the first
    /// image. This measures the cost of everything except decoding.
    ///
    /// # Errors
    /// If the first image cannot be read, or images are in memory and nothing is decoded anyway.
    pub fn without_decoding(self) -> Result<Self, DataError> {
        if let Images::Memory(_) = self.source.images {
            return Err(DataError::dataset("images", "they are in memory, decoded"));
        }
        let first = self.image(0)?;
        Ok(Self { stand_in: Some(Arc::new(first)), ..self })
    }

    /// Returns the pixels of all images of the source, `[images, channels, size, size]`, if they are decoded in memory. An
    /// image's place there is its [`sample`](Self::sample).
    #[cfg(feature = "tensors")]
    pub fn in_memory(&self) -> Option<&[u8]> {
        match (&self.source.images, &self.stand_in) {
            (Images::Memory(pixels), None) => Some(pixels),
            _ => None,
        }
    }

    /// Returns whether images are separate files of any size.
    #[cfg(feature = "tensors")]
    pub(crate) fn are_files(&self) -> bool {
        match &self.source.images {
            Images::Memory(_) => false,
            Images::Shards(shards) => shards.are_files(),
            _ => true,
        }
    }

    /// Returns an image's pixels, `[channels, size, size]`, 0–255.
    ///
    /// # Errors
    /// If the image must be read from disk and cannot be.
    pub fn image(&self, index: usize) -> Result<Vec<u8>, DataError> {
        Ok(match self.pixels(index, &mut Scratch::default())? {
            Pixels::Planar(pixels) => pixels.to_vec(),
            Pixels::Interleaved(pixels) => {
                let area = self.size * self.size;
                (0..self.channels * area).map(|i| pixels[(i % area) * self.channels + i / area]).collect()
            }
        })
    }
}
