//! Stands in for the module `jpeg` in a build without it, which refuses these files before they get here.

use std::ops::Range;

use crate::format::Format;
use crate::picture::Picture;

pub(crate) fn decode(
    _: Vec<u8>,
    _: &[u8],
    _: usize,
    _: impl Fn(usize, usize) -> Range<usize>,
) -> Result<Picture, String> {
    Err(Format::Jpeg.refusal())
}

pub(crate) fn encode(_: &[u8], _: usize, _: u8) -> Result<Vec<u8>, String> {
    Err(Format::Jpeg.refusal())
}
