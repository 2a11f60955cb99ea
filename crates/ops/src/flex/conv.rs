//! Convolution and its gradients as matrix products over tiles of the feature map.
//!
//! A tile is a run of output rows, across images where the maps are small. For each tile the input
//! is unfolded into columns (`[pixels, taps]`, a tap being a channel and a place in the kernel),
//! small enough to stay in cache, and multiplied at once; nothing of the size of a batch is ever
//! unfolded. How tiles are cut depends on the shapes alone and partial sums are added in a fixed
//! order, so any number of threads gives the same bits.

use rayon::prelude::*;

use super::matmul::{Strides, columns_of, matmul, rows_of};
use crate::Padding;

/// The shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Channels in.
    pub(super) channels: usize,
    /// `[height, width]` of the input maps.
    pub(super) input: [usize; 2],
    /// Channels out.
    pub(super) filters: usize,
    /// `[height, width]` of the kernel.
    pub(super) kernel: [usize; 2],
    /// `[height, width]` of the output maps.
    pub(super) output: [usize; 2],
    pub(super) stride: usize,
    pub(super) padding: Padding,
}

/// Pixels of a tile, at least: fewer would leave the matrix product short of work.
const PIXELS: usize = 192;
/// Partial sums of a weight gradient, at most.
const PARTIAL_SUMS: usize = 16;

impl Geometry {
    /// `None` if the kernel does not fit into the padded maps.
    pub(super) fn new(
        [batch, channels, height, width]: [usize; 4],
        [filters, _, kernel_height, kernel_width]: [usize; 4],
        stride: usize,
        padding: Padding,
    ) -> Option<Self> {
        let rows = (height + padding.top + padding.bottom).checked_sub(kernel_height)? / stride + 1;
        let columns = (width + padding.left + padding.right).checked_sub(kernel_width)? / stride + 1;
        Some(Self {
            batch,
            channels,
            input: [height, width],
            filters,
            kernel: [kernel_height, kernel_width],
            output: [rows, columns],
            stride,
            padding,
        })
    }

    fn image_in(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    fn image_out(&self) -> usize {
        self.filters * self.pixels()
    }

    /// Length of a column: the inputs of one output pixel.
    fn taps(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// Images worked on together: several where one has too few pixels.
    fn images_together(&self) -> usize {
        PIXELS.div_ceil(self.pixels()).clamp(1, self.batch.max(1))
    }

    /// The tiles of `images`: runs of output rows, counted through all of its images.
    fn tiles(&self, images: usize) -> impl Iterator<Item = Tile> + use<> {
        let (rows, width) = (images * self.output[0], self.output[1]);
        let tiles = (rows * width / PIXELS).max(1);
        // Cut evenly, or a last sliver would be multiplied at a fraction of the speed.
        (0..tiles).map(move |tile| Tile { first: tile * rows / tiles, end: (tile + 1) * rows / tiles })
    }

    /// Columns of the output row that see the input at kernel column `x`: their range, and the
    /// input column of the first.
    fn seen(&self, x: usize) -> (std::ops::Range<usize>, usize) {
        let (stride, left) = (self.stride, self.padding.left);
        let first = left.saturating_sub(x).div_ceil(stride).min(self.output[1]);
        let end = (self.input[1] + left).saturating_sub(x).div_ceil(stride).clamp(first, self.output[1]);
        (first..end, (first * stride + x).saturating_sub(left))
    }

    /// The input row under kernel row `y` of output row `row`, if it is not padding.
    fn input_row(&self, row: usize, y: usize) -> Option<usize> {
        (row * self.stride + y).checked_sub(self.padding.top).filter(|&row| row < self.input[0])
    }

    /// Unfolds the input under a tile: `columns[tap][pixel]`.
    fn unfold(&self, images: &[f32], tile: Tile, columns: &mut [f32]) {
        let ([height, width], [rows, wide]) = (self.input, self.output);
        let pixels = tile.rows() * wide;
        for (tap, column) in columns.chunks_exact_mut(pixels).enumerate() {
            let (channel, y, x) = self.tap(tap);
            let (seen, start) = self.seen(x);
            for (row, pixels) in (tile.first..tile.end).zip(column.chunks_exact_mut(wide)) {
                let (image, row) = (row / rows, row % rows);
                let Some(row) = self.input_row(row, y) else {
                    pixels.fill(0.0);
                    continue;
                };
                let line = &images[((image * self.channels + channel) * height + row) * width..][..width];
                pixels[..seen.start].fill(0.0);
                pixels[seen.end..].fill(0.0);
                if seen.is_empty() {
                    continue;
                }
                let pixels = &mut pixels[seen.clone()];
                if self.stride == 1 {
                    pixels.copy_from_slice(&line[start..][..pixels.len()]);
                } else {
                    for (pixel, value) in pixels.iter_mut().zip(line[start..].iter().step_by(self.stride)) {
                        *pixel = *value;
                    }
                }
            }
        }
    }

    /// Adds the columns of a tile back to where they came from.
    fn fold(&self, columns: &[f32], tile: Tile, images: &mut [f32]) {
        let ([height, width], [rows, wide]) = (self.input, self.output);
        let pixels = tile.rows() * wide;
        for (tap, column) in columns.chunks_exact(pixels).enumerate() {
            let (channel, y, x) = self.tap(tap);
            let (seen, start) = self.seen(x);
            if seen.is_empty() {
                continue;
            }
            for (row, pixels) in (tile.first..tile.end).zip(column.chunks_exact(wide)) {
                let (image, row) = (row / rows, row % rows);
                let Some(row) = self.input_row(row, y) else { continue };
                let line = &mut images[((image * self.channels + channel) * height + row) * width..][..width];
                let pixels = &pixels[seen.clone()];
                if self.stride == 1 {
                    for (value, pixel) in line[start..].iter_mut().zip(pixels) {
                        *value += pixel;
                    }
                } else {
                    for (value, pixel) in line[start..].iter_mut().step_by(self.stride).zip(pixels) {
                        *value += pixel;
                    }
                }
            }
        }
    }

    /// Channel, kernel row and kernel column of a tap.
    fn tap(&self, tap: usize) -> (usize, usize, usize) {
        let [height, width] = self.kernel;
        (tap / (height * width), tap / width % height, tap % width)
    }

    /// The parts of the images of a tile: image, first pixel in the image, first in the tile, count.
    fn parts(&self, tile: Tile) -> impl Iterator<Item = (usize, usize, usize, usize)> + use<> {
        let [rows, wide] = self.output;
        (tile.first / rows..tile.end.div_ceil(rows)).map(move |image| {
            let (first, end) = (tile.first.max(image * rows), tile.end.min((image + 1) * rows));
            (image, (first - image * rows) * wide, (first - tile.first) * wide, (end - first) * wide)
        })
    }

    /// The output maps' values at a tile: `[filter][pixel]`.
    fn gather(&self, maps: &[f32], tile: Tile, gathered: &mut [f32]) {
        let pixels = tile.rows() * self.output[1];
        for (image, at, to, count) in self.parts(tile) {
            for filter in 0..self.filters {
                let from = (image * self.filters + filter) * self.pixels() + at;
                gathered[filter * pixels + to..][..count].copy_from_slice(&maps[from..][..count]);
            }
        }
    }
}

/// A run of output rows, counted through the images that are worked on together.
#[derive(Debug, Clone, Copy)]
struct Tile {
    first: usize,
    end: usize,
}

impl Tile {
    fn rows(self) -> usize {
        self.end - self.first
    }
}

/// Buffers of one thread, kept from tile to tile.
#[derive(Default)]
struct Scratch {
    columns: Vec<f32>,
    maps: Vec<f32>,
}

fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

/// `maps ∗ weight + bias`.
///
/// # Shapes
/// As [`conv2d`](crate::conv2d), flat.
pub(super) fn forward(maps: &[f32], weight: &[f32], bias: &[f32], shape: &Geometry) -> Vec<f32> {
    let (taps, filters, wide) = (shape.taps(), shape.filters, shape.output[1]);
    let mut out = vec![0.0; shape.batch * shape.image_out()];
    let together = shape.images_together();
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(together * shape.image_out())
        .zip(maps.par_chunks(together * shape.image_in()))
        .for_each_init(Scratch::default, |scratch, (out, maps)| {
            for tile in shape.tiles(out.len() / shape.image_out()) {
                let pixels = tile.rows() * wide;
                let columns = sized(&mut scratch.columns, taps * pixels);
                shape.unfold(maps, tile, columns);
                let products = sized(&mut scratch.maps, filters * pixels);
                let (columns, weight) = ((&*columns, columns_of(pixels)), (weight, columns_of(taps)));
                matmul([pixels, filters, taps], products, false, columns, weight);
                for (image, to, at, count) in shape.parts(tile) {
                    for (filter, bias) in bias.iter().enumerate() {
                        let to = (image * filters + filter) * shape.pixels() + to;
                        let products = &products[filter * pixels + at..][..count];
                        for (out, product) in out[to..][..count].iter_mut().zip(products) {
                            *out = product + bias;
                        }
                    }
                }
            }
        });
    out
}

/// The gradient with respect to the input maps.
pub(super) fn input_gradient(gradient: &[f32], weight: &[f32], shape: &Geometry) -> Vec<f32> {
    let (taps, filters, wide) = (shape.taps(), shape.filters, shape.output[1]);
    let mut out = vec![0.0; shape.batch * shape.image_in()];
    let together = shape.images_together();
    if out.is_empty() || gradient.is_empty() {
        return out;
    }
    out.par_chunks_mut(together * shape.image_in())
        .zip(gradient.par_chunks(together * shape.image_out()))
        .for_each_init(Scratch::default, |scratch, (out, gradient)| {
            for tile in shape.tiles(out.len() / shape.image_in()) {
                let pixels = tile.rows() * wide;
                let maps = sized(&mut scratch.maps, filters * pixels);
                shape.gather(gradient, tile, maps);
                let columns = sized(&mut scratch.columns, taps * pixels);
                let (maps, weight) = ((&*maps, columns_of(pixels)), (weight, rows_of(taps)));
                matmul([pixels, taps, filters], columns, false, maps, weight);
                shape.fold(columns, tile, out);
            }
        });
    out
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(maps: &[f32], gradient: &[f32], shape: &Geometry) -> Vec<f32> {
    let (taps, filters, wide) = (shape.taps(), shape.filters, shape.output[1]);
    let together = shape.images_together();
    let images = shape.batch.div_ceil(PARTIAL_SUMS).next_multiple_of(together);
    if maps.is_empty() || gradient.is_empty() {
        return vec![0.0; filters * taps];
    }
    let partial_sum = |scratch: &mut Scratch, (maps, gradient): (&[f32], &[f32])| {
        let mut sum = vec![0.0; filters * taps];
        let maps = maps.chunks(together * shape.image_in());
        for (maps, gradient) in maps.zip(gradient.chunks(together * shape.image_out())) {
            for tile in shape.tiles(gradient.len() / shape.image_out()) {
                let pixels = tile.rows() * wide;
                let columns = sized(&mut scratch.columns, taps * pixels);
                shape.unfold(maps, tile, columns);
                let gathered = sized(&mut scratch.maps, filters * pixels);
                shape.gather(gradient, tile, gathered);
                let transposed = Strides { row: pixels, column: 1 };
                let (columns, gathered) = ((&*columns, transposed), (&*gathered, columns_of(pixels)));
                matmul([taps, filters, pixels], &mut sum, true, columns, gathered);
            }
        }
        sum
    };
    let sums: Vec<Vec<f32>> = maps
        .par_chunks(images * shape.image_in())
        .zip(gradient.par_chunks(images * shape.image_out()))
        .map_init(Scratch::default, partial_sum)
        .collect();
    let mut sums = sums.into_iter();
    let mut total = sums.next().unwrap_or_default();
    let rest: Vec<Vec<f32>> = sums.collect();
    const SPAN: usize = 1 << 12;
    total.par_chunks_mut(SPAN).enumerate().for_each(|(span, total)| {
        for sum in &rest {
            for (total, sum) in total.iter_mut().zip(&sum[span * SPAN..]) {
                *total += sum;
            }
        }
    });
    total
}

/// The gradient with respect to the bias: the sum over images and pixels.
pub(super) fn bias_gradient(gradient: &[f32], filters: usize, pixels: usize) -> Vec<f32> {
    let images = gradient.len() / (filters * pixels).max(1);
    let map = |image: usize, filter: usize| &gradient[(image * filters + filter) * pixels..][..pixels];
    let sum = |filter| (0..images).map(|image| sum_of(map(image, filter))).sum();
    (0..filters).into_par_iter().map(sum).collect()
}

/// The sum in eight interleaved parts, which is both faster and more exact than one after another.
fn sum_of(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let chunks = values.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
