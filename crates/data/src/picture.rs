//! A decoded image, and the limits on its size.

use std::ops::Range;

/// The largest number of pixels in an image. A header of twenty bytes may not claim more than 8192 × 8192.
pub(crate) const PIXELS_LIMIT: usize = 1 << 26;

/// The largest side of an image.
const SIDE_LIMIT: usize = 1 << 14;

/// Interleaved pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// `[height, columns, channels]`.
    pub(crate) bytes: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    /// The columns of the image that are held: all of them, unless the reader requested fewer.
    pub(crate) columns: Range<usize>,
}

impl Picture {
    /// Creates an image of `[height, width, channels]`.
    pub(crate) fn whole(bytes: Vec<u8>, width: usize, height: usize, channels: usize) -> Self {
        Self { bytes, width, height, channels, columns: 0..width }
    }
}

/// Rejects an image with no or too many pixels before memory is allocated.
pub(crate) fn check_size(width: usize, height: usize) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("{width} × {height} pixels"));
    }
    if width > SIDE_LIMIT || height > SIDE_LIMIT || width * height > PIXELS_LIMIT {
        return Err(format!(
            "claims {width} × {height} pixels; a side of {SIDE_LIMIT} and {PIXELS_LIMIT} pixels in all are the limit"
        ));
    }
    Ok(())
}

/// Returns the luma of ITU-R BT.601, as in JPEG.
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let luma = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    luma.round() as u8
}
