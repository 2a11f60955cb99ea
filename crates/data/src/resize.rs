//! Scaling pixels as Pillow does, and so `torchvision.transforms.Resize`: to the bit, since a level of a pixel more or less
//! moves logits by a thousandth.

use std::ops::Range;

use crate::decode::Pixels;

/// Weights are whole numbers of this many bits after the point.
const BITS: u32 = 22;

/// Which pixels of a line go into each of some pixels of the scaled line, and with what weights.
struct Line {
    /// One a scaled pixel: where the pixels begin, and which of `weights` are theirs.
    taps: Vec<(usize, Range<usize>)>,
    weights: Vec<i32>,
}

impl Line {
    /// Of a line of `length` pixels scaled to `whole`, the pixels `part`: antialiased and bilinear.
    fn new(length: usize, whole: usize, part: Range<usize>) -> Self {
        let scale = length as f64 / whole as f64;
        // A triangle as wide as two scaled pixels, or as two pixels where it enlarges.
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

    /// The pixels of the line that are looked at.
    fn seen(&self) -> Range<usize> {
        let ends = |(first, weights): &(usize, Range<usize>)| first + weights.len();
        self.taps.first().map_or(0, |(first, _)| *first)..self.taps.last().map_or(0, ends)
    }

    /// The scaled pixels, each with where its pixels begin and their weights.
    fn pixels(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.taps.iter().map(|(first, weights)| (*first, &self.weights[weights.clone()]))
    }
}

fn level(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Of an image scaled to `whole` (width, height), the rectangle of `size` at `corner`; what lies around it is not
/// computed but seen by the filter. First across, then down, with whole levels between.
pub(crate) fn scaled(pixels: &Pixels, whole: [usize; 2], corner: [usize; 2], size: [usize; 2]) -> Pixels {
    match pixels.channels {
        1 => scaled_of::<1>(pixels, whole, corner, size),
        _ => scaled_of::<3>(pixels, whole, corner, size),
    }
}

fn scaled_of<const CHANNELS: usize>(
    pixels: &Pixels,
    whole: [usize; 2],
    corner: [usize; 2],
    size: [usize; 2],
) -> Pixels {
    let across = Line::new(pixels.width, whole[0], corner[0]..corner[0] + size[0]);
    let down = Line::new(pixels.height, whole[1], corner[1]..corner[1] + size[1]);
    let (rows, line) = (down.seen(), size[0] * CHANNELS);
    let mut narrowed = Vec::with_capacity(rows.len() * line);
    for row in rows.clone() {
        let row = &pixels.bytes[row * pixels.width * CHANNELS..][..pixels.width * CHANNELS];
        for (first, weights) in across.pixels() {
            let mut sums = [1 << (BITS - 1); CHANNELS];
            let (seen, _) = row[first * CHANNELS..].as_chunks::<CHANNELS>();
            for (pixel, weight) in seen.iter().zip(weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, level)| *sum += i32::from(*level) * weight);
            }
            narrowed.extend(sums.map(level));
        }
    }
    let mut bytes = Vec::with_capacity(size[1] * line);
    let mut sums = vec![0; line];
    for (first, weights) in down.pixels() {
        sums.fill(1 << (BITS - 1));
        for (row, weight) in narrowed[(first - rows.start) * line..].chunks_exact(line).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, level)| *sum += i32::from(*level) * weight);
        }
        bytes.extend(sums.iter().map(|&sum| level(sum)));
    }
    Pixels { bytes, width: size[0], height: size[1], channels: CHANNELS }
}
