//! A prepared data set: images of one size in WebDataset tars, an index of each tar for random access, and a
//! manifest with checksums.
//!
//! ```text
//! manifest.json             classes, splits, shards with their checksums
//! train-000000.tar          <key>.jpg (or .npy) and <key>.cls of each image
//! train-000000.tsv          key, offset, length, label and boxes of each image
//! rejected.tsv              what could not be read, and why
//! statistics.json           written by `data stats`
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::archive::read_exact_at;
use crate::checksum::hex;
use crate::label::{BoundingBox, Class};
use crate::open_files::OpenFiles;
use crate::shard_index::{Row, for_each_row, index_name};
use crate::{DataError, PassedOver, checksum};

/// The manifest's name in a prepared folder.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The value of the manifest's `format`.
pub(crate) const FORMAT: &str = "alexnet-burn shards 1";
/// The largest side of a prepared image.
const SIDE_LIMIT: usize = 1 << 14;

/// How images are stored in shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// JPEG, `<key>.jpg`.
    Jpeg,
    /// NumPy's format, bytes of `[size, size, channels]`, `<key>.npy`. It is larger but needs no decoding.
    Raw,
}

impl Encoding {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Raw => "npy",
        }
    }
}

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prepared {
    /// Name and version of the format.
    pub format: String,
    /// The name of the folder or archive that was prepared; absent in older sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The layout of the source files.
    pub source: String,
    /// Side of an image in pixels.
    pub size: usize,
    /// Colour channels.
    pub channels: usize,
    /// The encoding of the images.
    pub encoding: Encoding,
    /// JPEG quality (1-100).
    pub quality: u8,
    /// Whether images were rotated according to EXIF.
    pub upright: bool,
    /// Source images that could not be read.
    pub rejected: usize,
    /// Source files that were not used.
    #[serde(default, skip_serializing_if = "PassedOver::is_empty")]
    pub passed_over: PassedOver,
    /// The classes in the order of their labels.
    pub classes: Vec<Class>,
    /// The splits.
    pub splits: Vec<PreparedSplit>,
}

/// A split of a prepared data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedSplit {
    /// `train`, `val` or `test`.
    pub name: String,
    /// Its shards, in order.
    pub shards: Vec<Shard>,
}

impl PreparedSplit {
    /// Returns the number of images in the split.
    pub fn images(&self) -> usize {
        self.shards.iter().map(|shard| shard.images).sum()
    }
}

/// A shard and its checksums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// The tar's name.
    pub file: String,
    /// The number of images in it.
    pub images: usize,
    /// The tar's length in bytes.
    pub bytes: u64,
    /// The tar's SHA-256.
    pub sha256: String,
    /// The index's SHA-256.
    pub index_sha256: String,
}

impl Shard {
    pub(crate) fn index(&self) -> String {
        index_name(&self.file)
    }
}

/// Returns whether a folder is a prepared data set.
pub fn is_prepared(path: &Path) -> bool {
    path.join(MANIFEST).is_file()
}

impl Prepared {
    /// Reads the manifest of a prepared folder.
    ///
    /// # Errors
    /// If it cannot be read or is invalid.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(MANIFEST);
        let display = path.display().to_string();
        let bytes = std::fs::read(&path).map_err(DataError::read(&path))?;
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| {
            DataError::file(&display, format!("no manifest of a prepared data set ({error})"))
        })?;
        let problem = |problem: String| Err(DataError::file(&display, problem));
        if manifest.format != FORMAT {
            return problem(format!("is of the format `{}`, expected `{FORMAT}`", manifest.format));
        }
        if !matches!(manifest.channels, 1 | 3) || !(1..=SIDE_LIMIT).contains(&manifest.size) {
            return problem(format!("images of {} channels and {} pixels", manifest.channels, manifest.size));
        }
        for shard in manifest.splits.iter().flat_map(|split| &split.shards) {
            if shard.file.contains(['/', '\\']) || !shard.file.ends_with(".tar") {
                return problem(format!("`{}` is no name of a shard", shard.file));
            }
        }
        Ok(manifest)
    }

    /// Returns a checksum of all images and labels.
    pub(crate) fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for split in &self.splits {
            hash.update(&split.name);
            for shard in &split.shards {
                hash.update(&shard.sha256);
                hash.update(&shard.index_sha256);
            }
        }
        hex(&hash.finalize())
    }
}

/// The images of a split in its shards. Each image is read from its shard by position. If a shard is truncated
/// while it is read, this gives an error, whereas a memory mapping would end the process. Sixteen bytes are kept
/// for each image; its key and boxes stay in the index on disk.
#[derive(Debug)]
pub(crate) struct Shards {
    files: Vec<ShardFile>,
    tars: OpenFiles,
    places: Vec<Place>,
    /// The length of an image's bytes, if it is raw.
    raw: Option<usize>,
}

#[derive(Debug)]
struct ShardFile {
    /// The tar's number among the open files.
    tar: usize,
    /// The number of the shard's first image.
    first: usize,
    /// The checksums of the tar and its index.
    checksums: [String; 2],
}

/// The position of an image's bytes in its shard, and of its line in the index.
#[derive(Debug)]
struct Place {
    offset: u64,
    length: u32,
    line: u32,
}

impl Shards {
    /// Opens the shards of a split. Also returns the labels of their images.
    pub(crate) fn open(
        folder: &Path,
        manifest: &Prepared,
        split: &PreparedSplit,
    ) -> Result<(Self, Vec<u32>), DataError> {
        let raw =
            (manifest.encoding == Encoding::Raw).then(|| manifest.size * manifest.size * manifest.channels);
        let mut shards = Self { files: Vec::new(), tars: OpenFiles::default(), places: Vec::new(), raw };
        let mut labels = Vec::with_capacity(split.images());
        for shard in &split.shards {
            let path = folder.join(&shard.file);
            let tar = shards.tars.add(path.clone());
            let bytes = shards.tars.get(tar).and_then(|tar| tar.metadata());
            let bytes = bytes.map_err(DataError::read(&path))?.len();
            if bytes != shard.bytes {
                let problem =
                    format!("has {bytes} bytes, and {} in {MANIFEST}; copy or prepare it again", shard.bytes);
                return Err(DataError::file(path.display().to_string(), problem));
            }
            let index_path = folder.join(shard.index());
            let first = shards.places.len();
            for_each_row(&index_path, |line, row| {
                row.check_label(manifest.classes.len())?;
                if row.offset.checked_add(row.length.into()).is_none_or(|end| end > bytes) {
                    return Err(format!("`{}` lies beyond the end of {}", row.key, shard.file));
                }
                let line = u32::try_from(line).map_err(|_| "an index of more than 4 GiB")?;
                shards.places.push(Place { offset: row.offset, length: row.length, line });
                labels.push(row.label);
                Ok(())
            })?;
            if shards.places.len() - first != shard.images {
                let found = shards.places.len() - first;
                let problem = format!("has {found} images, and {} in {MANIFEST}", shard.images);
                return Err(DataError::file(index_path.display().to_string(), problem));
            }
            let checksums = [shard.sha256.clone(), shard.index_sha256.clone()];
            shards.files.push(ShardFile { tar, first, checksums });
        }
        Ok((shards, labels))
    }

    fn shard(&self, at: usize) -> &ShardFile {
        &self.files[self.files.partition_point(|shard| shard.first <= at) - 1]
    }

    /// Returns the path of the shard that contains an image.
    fn path(&self, at: usize) -> &Path {
        self.tars.path(self.shard(at).tar)
    }

    /// Reads an image's file.
    pub(crate) fn read(&self, at: usize, file: &mut Vec<u8>) -> Result<(), DataError> {
        let (shard, place) = (self.shard(at), &self.places[at]);
        file.resize(place.length as usize, 0);
        let read = self.tars.get(shard.tar).and_then(|tar| read_exact_at(&tar, file, place.offset));
        read.map_err(|error| {
            let problem = format!("cannot be read ({error}); was it cut short? See `data check`");
            DataError::at(&self.path(at).display().to_string(), place.offset, problem)
        })
    }

    /// Returns whether images are files to decode.
    #[cfg(feature = "tensors")]
    pub(crate) fn are_files(&self) -> bool {
        self.raw.is_none()
    }

    /// Returns the pixels in an image's file if there is nothing to decode: the bytes after NumPy's header.
    pub(crate) fn raw<'a>(&self, file: &'a [u8]) -> Option<Result<&'a [u8], String>> {
        let length = self.raw?;
        let pixels = file.len().checked_sub(length).map(|header| file.split_at(header));
        Some(match pixels {
            Some((header, pixels)) if header.starts_with(b"\x93NUMPY") => Ok(pixels),
            _ => Err("not a NumPy array of the size that the manifest says".into()),
        })
    }

    /// Returns the location of an image for messages.
    pub(crate) fn place(&self, at: usize) -> String {
        let key = self.key(at).unwrap_or_default();
        format!("{}, `{key}` at byte {}", self.path(at).display(), self.places[at].offset)
    }

    /// Reads an image's line of the index.
    fn line(&self, at: usize) -> Result<String, DataError> {
        let start = u64::from(self.places[at].line);
        let path = self.path(at).with_extension("tsv");
        let index = File::open(&path).map_err(DataError::read(&path))?;
        let mut reader = BufReader::with_capacity(512, index);
        reader.seek(SeekFrom::Start(start)).map_err(DataError::read(&path))?;
        let mut line = String::new();
        reader.read_line(&mut line).map_err(DataError::read(&path))?;
        Ok(line)
    }

    pub(crate) fn key(&self, at: usize) -> Result<String, DataError> {
        Ok(self.line(at)?.split('\t').next().unwrap_or_default().to_owned())
    }

    pub(crate) fn boxes(&self, at: usize) -> Result<Vec<BoundingBox>, DataError> {
        let line = self.line(at)?;
        let boxes = Row::parse(line.trim_end_matches('\n')).and_then(|row| row.boxes());
        boxes.map_err(|problem| DataError::file(self.place(at), problem))
    }

    /// Returns the checksums of all files, in order.
    pub(crate) fn checksums(&self) -> impl Iterator<Item = &String> {
        self.files.iter().flat_map(|shard| &shard.checksums)
    }

    /// Passes all keys to `each`, in order.
    pub(crate) fn for_each_key(&self, each: &mut impl FnMut(usize, &str)) -> Result<(), DataError> {
        let mut at = 0;
        for shard in &self.files {
            for_each_row(&self.tars.path(shard.tar).with_extension("tsv"), |_, row| {
                each(at, row.key);
                at += 1;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Checks the checksums of a shard.
pub(crate) fn check_sums(folder: &Path, shard: &Shard) -> Result<(), DataError> {
    for (file, expected) in [(&shard.file, &shard.sha256), (&shard.index(), &shard.index_sha256)] {
        let path = folder.join(file);
        let found = checksum::file_sha256(&path)?;
        if found != *expected {
            let problem =
                format!("has SHA-256 {found}, and {expected} in {MANIFEST}; copy or prepare it again");
            return Err(DataError::file(path.display().to_string(), problem));
        }
    }
    Ok(())
}
