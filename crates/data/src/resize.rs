//! Scales pixels exactly as Pillow does, and so as `torchvision.transforms.Resize`. A difference of one level in a
//! pixel changes logits by a thousandth.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::picture::Picture;

/// Weights are fixed-point numbers with this many fractional bits.
const BITS: u32 = 22;

/// The number of rows that are scaled horizontally together, each pixel with room for four bytes: two vectors of 16
/// sums, or four of 8.
const ROWS: usize = 8;

/// The source pixels of each scaled pixel of a line, and their weights.
struct Line {
    /// For each scaled pixel, the first source pixel and the range of its `weights`.
    taps: Vec<(usize, Range<usize>)>,
    weights: Vec<i32>,
}

impl Line {
    /// Computes the pixels `part` of a line of `length` pixels scaled to `whole`, antialiased and bilinear.
    fn new(length: usize, whole: usize, part: Range<usize>) -> Self {
        let scale = length as f64 / whole as f64;
        // The filter is a triangle as wide as two scaled pixels, or as two source pixels when it enlarges.
        let reach = scale.max(1.0);
        let (mut taps, mut weights) = (Vec::with_capacity(part.len()), Vec::new());
        for pixel in part {
            let centre = (pixel as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(length);
            let height = |at: usize| (1.0 - ((at as f64 - centre + 0.5) / reach).abs()).max(0.0);
            let sum: f64 = (first..end).map(height).sum();
            let begin = weights.len();
            weights.extend((first..end).map(|at| (height(at) / sum * f64::from(1 << BITS) + 0.5) as i32));
            taps.push((first, begin..weights.len()));
        }
        Self { taps, weights }
    }

    /// Returns the source pixels that are used.
    fn seen(&self) -> Range<usize> {
        let ends = |(first, weights): &(usize, Range<usize>)| first + weights.len();
        self.taps.first().map_or(0, |(first, _)| *first)..self.taps.last().map_or(0, ends)
    }

    /// Returns the scaled pixels, each with its first source pixel and weights.
    fn pixels(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.taps.iter().map(|(first, weights)| (*first, &self.weights[weights.clone()]))
    }
}

#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Scales an image to `whole` (width, height) and returns the rectangle of `size` at `corner`. The surroundings are
/// not computed, but the filter uses their source pixels. The axes are scaled one after the other and rounded to
/// whole levels in between.
pub(crate) fn scaled(pixels: &Picture, whole: [usize; 2], corner: [usize; 2], size: [usize; 2]) -> Picture {
    Arch::new().dispatch(Scaling { pixels, whole, corner, size })
}

/// The scaling, compiled for the current processor.
struct Scaling<'a> {
    pixels: &'a Picture,
    whole: [usize; 2],
    corner: [usize; 2],
    size: [usize; 2],
}

impl WithSimd for Scaling<'_> {
    type Output = Picture;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Picture {
        match self.pixels.channels {
            1 => self.scaled::<1>(),
            _ => self.scaled::<3>(),
        }
    }
}

/// Returns whether the vertical axis is scaled first. As in Pillow 13 (`ImagingResampleInner`), this is so if the
/// height shrinks by more than twice as many pixels as the width.
fn down_first([width, height]: [usize; 2], [wide, tall]: [usize; 2]) -> bool {
    let [across, down] = [(width, wide), (height, tall)].map(|(from, to)| from as i64 - to as i64);
    down > 0 && down > 2 * across
}

impl Scaling<'_> {
    #[inline(always)]
    fn scaled<const CHANNELS: usize>(self) -> Picture {
        let Self {
            pixels: &Picture { ref bytes, width, height, columns: ref held, .. },
            whole,
            corner,
            size,
        } = self;
        let across = Line::new(width, whole[0], corner[0]..corner[0] + size[0]);
        let down = Line::new(height, whole[1], corner[1]..corner[1] + size[1]);
        let (rows, columns) = (down.seen(), across.seen());
        let stride = held.len() * CHANNELS;
        let seen = &bytes[rows.start * stride + (columns.start - held.start) * CHANNELS..];
        let bytes = if down_first([width, height], whole) {
            let line = columns.len() * CHANNELS;
            let lowered = scaled_down(seen, [line, stride], &down);
            let narrowed = scaled_across::<CHANNELS>(&lowered, size[1], line, &across);
            let line = size[0] * CHANNELS;
            narrowed.chunks_exact(padded(line)).take(size[1]).flat_map(|row| &row[..line]).copied().collect()
        } else {
            let narrowed = scaled_across::<CHANNELS>(seen, rows.len(), stride, &across);
            let line = size[0] * CHANNELS;
            scaled_down(&narrowed, [line, padded(line)], &down)
        };
        Picture::whole(bytes, size[0], size[1], CHANNELS)
    }
}

/// Scales `count` rows horizontally. They begin at the first column that is used, each `stride` bytes after the
/// previous one. [`padded`] gives the distance of the scaled rows.
#[inline(always)]
fn scaled_across<const CHANNELS: usize>(rows: &[u8], count: usize, stride: usize, across: &Line) -> Vec<u8> {
    let (seen, line) = (across.seen(), padded(across.taps.len() * CHANNELS));
    let mut narrowed = vec![0; count.next_multiple_of(ROWS) * line];
    let mut columns = vec![[0; 4 * ROWS]; seen.len()];
    for (y, out) in (0..count).step_by(ROWS).zip(narrowed.chunks_exact_mut(ROWS * line)) {
        for (row, y) in (y..count.min(y + ROWS)).enumerate() {
            let pixels = rows[y * stride..].chunks_exact(CHANNELS);
            for (column, pixel) in columns.iter_mut().zip(pixels) {
                column[4 * row..][..CHANNELS].copy_from_slice(pixel);
            }
        }
        for (x, (first, weights)) in across.pixels().enumerate() {
            let mut sums = [1 << (BITS - 1); 4 * ROWS];
            for (column, weight) in columns[first - seen.start..].iter().zip(weights) {
                sums.iter_mut().zip(column).for_each(|(sum, level)| *sum += i32::from(*level) * weight);
            }
            // Four bytes are written for each pixel, even if it has fewer. The next pixel overwrites the rest. So
            // all sums are needed, and they form one vector.
            let mut levels = [0; 4 * ROWS];
            levels.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = level(sum));
            for (row, four) in out.chunks_exact_mut(line).zip(levels.as_chunks::<4>().0) {
                row[x * CHANNELS..][..4].copy_from_slice(four);
            }
        }
    }
    narrowed
}

/// Returns the distance in bytes between scaled rows, with room for the bytes written after the last pixel.
fn padded(line: usize) -> usize {
    line + 4
}

/// Scales rows of `line` bytes vertically. They begin at the first row that is used, each `stride` bytes after the
/// previous one.
#[inline(always)]
fn scaled_down(rows: &[u8], [line, stride]: [usize; 2], down: &Line) -> Vec<u8> {
    let seen = down.seen();
    let mut scaled = vec![0; down.taps.len() * line];
    let mut sums = vec![0; line];
    for ((first, weights), out) in down.pixels().zip(scaled.chunks_exact_mut(line.max(1))) {
        sums.fill(1 << (BITS - 1));
        for (row, weight) in rows[(first - seen.start) * stride..].chunks(stride).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, level)| *sum += i32::from(*level) * weight);
        }
        out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = level(sum));
    }
    scaled
}
