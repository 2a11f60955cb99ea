//! Labelled images in memory, in files, in shards and in tables.

use std::borrow::Cow;
#[cfg(feature = "tensors")]
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use crate::label::BoundingBox;
use crate::shards::Shards;
#[cfg(feature = "parquet")]
use crate::table::Table;
use crate::{DataError, Files, decode};

/// The size in bytes up to which the decoded images of a split are kept in memory. Otherwise each image is decoded
/// when it is needed. Images in shards are never kept.
const MEMORY_LIMIT: usize = 4 << 30;

/// Images with labels, each with a key that is unique in the data set.
#[derive(Debug)]
pub(crate) struct LabelledImages {
    pub(crate) images: Images,
    pub(crate) labels: Vec<u32>,
    /// Paths of image files. Empty for shards, whose index holds the keys.
    pub(crate) keys: Vec<String>,
    /// The boxes of each image's objects. Empty if none are known.
    pub(crate) boxes: Vec<Vec<BoundingBox>>,
}

#[derive(Debug)]
pub(crate) enum Images {
    /// `[images, channels, size, size]`.
    Memory(Vec<u8>),
    /// Files whose paths are the keys.
    Files(Arc<Files>),
    /// Files at these paths.
    #[cfg(feature = "tensors")]
    Paths(Vec<PathBuf>),
    /// In the shards of a prepared data set.
    Shards(Shards),
    /// Rows of parquet files.
    #[cfg(feature = "parquet")]
    Table(Table),
}

/// Reusable buffers for reading an image.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) file: Vec<u8>,
    pixels: Vec<u8>,
}

/// An image's pixels, 0–255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels<'a> {
    /// `[channels, size, size]`.
    Planar(&'a [u8]),
    /// `[size, size, channels]`.
    Interleaved(&'a [u8]),
}

impl LabelledImages {
    /// Returns the key of an image, for messages and random draws.
    pub(crate) fn key(&self, at: usize) -> Result<Cow<'_, str>, DataError> {
        match &self.images {
            Images::Shards(shards) => shards.key(at).map(Cow::from),
            _ => Ok(Cow::from(&self.keys[at])),
        }
    }

    /// Returns the location of an image for messages.
    pub(crate) fn place(&self, at: usize) -> String {
        match &self.images {
            Images::Memory(_) => self.keys[at].clone(),
            #[cfg(feature = "tensors")]
            Images::Paths(_) => self.keys[at].clone(),
            Images::Files(files) => files.display(&self.keys[at]),
            Images::Shards(shards) => shards.place(at),
            #[cfg(feature = "parquet")]
            Images::Table(table) => table.place(at),
        }
    }

    /// Reads an image's file.
    pub(crate) fn file(&self, at: usize, file: &mut Vec<u8>) -> Result<(), DataError> {
        match &self.images {
            Images::Memory(_) => unreachable!("images in memory have no files"),
            Images::Files(files) => *file = files.read(&self.keys[at])?,
            #[cfg(feature = "tensors")]
            Images::Paths(paths) => {
                *file = std::fs::read(&paths[at]).map_err(DataError::read(&paths[at]))?;
            }
            Images::Shards(shards) => shards.read(at, file)?,
            #[cfg(feature = "parquet")]
            Images::Table(table) => *file = table.read(at)?,
        }
        Ok(())
    }

    /// Returns the length of an image's file, as far as it is known without reading it.
    pub(crate) fn file_length(&self, at: usize) -> Result<u64, DataError> {
        match &self.images {
            Images::Files(files) => files.length(&self.keys[at]),
            _ => Ok(0),
        }
    }

    /// Returns the boxes of an image's objects, if any are known.
    pub(crate) fn boxes(&self, at: usize) -> Result<Vec<BoundingBox>, DataError> {
        match &self.images {
            Images::Shards(shards) => shards.boxes(at),
            _ => Ok(self.boxes.get(at).cloned().unwrap_or_default()),
        }
    }

    /// Returns an image's pixels. All images have the same shape.
    pub(crate) fn pixels<'a>(
        &'a self,
        at: usize,
        [channels, size]: [usize; 2],
        scratch: &'a mut Scratch,
    ) -> Result<Pixels<'a>, DataError> {
        if let Images::Memory(pixels) = &self.images {
            let bytes = channels * size * size;
            return Ok(Pixels::Planar(&pixels[at * bytes..(at + 1) * bytes]));
        }
        self.file(at, &mut scratch.file)?;
        if let Images::Shards(shards) = &self.images
            && let Some(raw) = shards.raw(&scratch.file)
        {
            return raw.map(Pixels::Interleaved).map_err(|problem| DataError::file(self.place(at), problem));
        }
        let buffer = std::mem::take(&mut scratch.pixels);
        let decoded = decode::pixels_in(buffer, &scratch.file, channels, |width, height| {
            decode::seen_by_square(width, height, size)
        });
        let decoded = decoded.map(|pixels| decode::square(pixels, size));
        scratch.pixels = decoded.map_err(|problem| DataError::file(self.place(at), problem))?.bytes;
        Ok(Pixels::Interleaved(&scratch.pixels))
    }

    /// Decodes all images into memory if they fit and are not in shards. Then also returns their mean width and height
    /// before they were scaled.
    pub(crate) fn decoded(
        self,
        [channels, size]: [usize; 2],
    ) -> Result<(Self, Option<[usize; 2]>), DataError> {
        let stays = matches!(self.images, Images::Memory(_) | Images::Shards(_));
        let number = self.labels.len();
        if stays || number == 0 || number * channels * size * size > MEMORY_LIMIT {
            return Ok((self, None));
        }
        let decode = |at: usize| {
            let mut file = Vec::new();
            self.file(at, &mut file)?;
            decode::planar(&file, channels, size).map_err(|problem| DataError::file(self.place(at), problem))
        };
        let decoded: Vec<(Vec<u8>, [usize; 2])> =
            (0..number).into_par_iter().map(decode).collect::<Result<_, _>>()?;
        let mean = |side: usize| decoded.iter().map(|(_, sides)| sides[side]).sum::<usize>() / number;
        let sides = [mean(0), mean(1)];
        let pixels: Vec<&[u8]> = decoded.iter().map(|(pixels, _)| pixels.as_slice()).collect();
        Ok((Self { images: Images::Memory(pixels.concat()), ..self }, Some(sides)))
    }
}
