//! Convolution and its gradients as matrix products over tiles of the feature map.
//!
//! A tile is a run of output rows, across images where the maps are small. For each tile the input
//! is unfolded into columns (`[pixels, taps]`, a tap being a channel and a place in the kernel),
//! a block of channels at a time so that they stay in cache, and multiplied at once; nothing of the
//! size of a batch is ever unfolded. On the way the input is laid out as [`Lines`], in which every
//! tap of every output row is one run of memory, whatever the padding and the stride. How tiles and
//! blocks are cut depends on the shapes alone and partial sums are added in a fixed order, so any
//! number of threads gives the same bits.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matmul::{columns_of, matmul, rows_of};
use super::sweep::rectified;
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
/// Elements unfolded at once, about: with what they are multiplied by, they stay in a 512 KiB cache.
const COLUMNS: usize = 80 << 10;
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

    /// Places of the kernel.
    fn places(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The channels cut evenly into blocks whose columns stay in cache.
    fn blocks(&self, tile: Tile) -> impl Iterator<Item = Block<'_>> {
        let together = (COLUMNS / (self.places() * tile.rows() * self.output[1]).max(1)).max(1);
        let (channels, blocks) = (self.channels, self.channels.div_ceil(together));
        let cut = move |block| block * channels / blocks..(block + 1) * channels / blocks;
        (0..blocks).map(move |block| Block { shape: self, tile, channels: cut(block) })
    }

    /// The parts of a tile: one for each image that it has rows of.
    fn parts(&self, tile: Tile) -> impl Iterator<Item = Part> + use<> {
        let [rows, wide] = self.output;
        (tile.first / rows..tile.end.div_ceil(rows)).map(move |image| {
            let (first, end) = (tile.first.max(image * rows), tile.end.min((image + 1) * rows));
            Part { image, row: first - image * rows, rows: end - first, at: (first - tile.first) * wide }
        })
    }

    /// The output maps' values at a tile: `[filter][pixel]`.
    fn gather(&self, maps: &[f32], tile: Tile, gathered: &mut [f32]) {
        let (pixels, wide) = (tile.rows() * self.output[1], self.output[1]);
        for part in self.parts(tile) {
            let count = part.rows * wide;
            for (filter, gathered) in gathered.chunks_exact_mut(pixels).enumerate() {
                let from = (part.image * self.filters + filter) * self.pixels() + part.row * wide;
                gathered[part.at..][..count].copy_from_slice(&maps[from..][..count]);
            }
        }
    }

    /// The output maps' values at a tile: `[pixel][filter]`.
    fn gather_transposed(&self, maps: &[f32], tile: Tile, gathered: &mut [f32]) {
        let (wide, filters) = (self.output[1], self.filters);
        for part in self.parts(tile) {
            let count = part.rows * wide;
            let gathered = &mut gathered[part.at * filters..][..count * filters];
            for filter in 0..filters {
                let from = (part.image * filters + filter) * self.pixels() + part.row * wide;
                let values = &maps[from..][..count];
                for (pixel, value) in gathered.chunks_exact_mut(filters).zip(values) {
                    pixel[filter] = *value;
                }
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

/// The rows of a tile that lie in one image.
#[derive(Debug, Clone, Copy)]
struct Part {
    image: usize,
    /// The first row, counted in the image.
    row: usize,
    rows: usize,
    /// The first pixel, counted in the tile.
    at: usize,
}

/// How a block of channels under a part of a tile lies in a buffer: for each channel and padded
/// input row the columns dealt out by `stride`, so that the inputs of neighbouring output pixels at
/// one tap are neighbours: `[channel][row][column % stride][column / stride]`.
#[derive(Debug, Clone, Copy)]
struct Lines {
    /// Padded input rows of a channel.
    rows: usize,
    stride: usize,
    /// Elements of a line.
    length: usize,
}

impl Lines {
    fn new(shape: &Geometry, part: Part) -> Self {
        Self {
            rows: (part.rows - 1) * shape.stride + shape.kernel[0],
            stride: shape.stride,
            length: shape.output[1] + (shape.kernel[1] - 1) / shape.stride,
        }
    }

    fn size(self, channels: usize) -> usize {
        channels * self.rows * self.stride * self.length
    }

    /// Where the inputs of the first output row at a tap start.
    fn start(self, channel: usize, y: usize, x: usize) -> usize {
        ((channel * self.rows + y) * self.stride + x % self.stride) * self.length + x / self.stride
    }

    /// From an output row's inputs to the next one's.
    fn step(self) -> usize {
        self.stride * self.stride * self.length
    }

    /// Calls `line` for each line: where it starts, its elements that are inside the image, and
    /// where in the images the first of these is; empty for a line in the padding.
    #[inline(always)]
    fn for_each(
        self,
        shape: &Geometry,
        part: Part,
        channels: Range<usize>,
        mut line: impl FnMut(usize, Range<usize>, usize),
    ) {
        let ([height, width], Padding { top, left, .. }) = (shape.input, shape.padding);
        let mut start = 0;
        for channel in channels {
            for row in part.row * self.stride..part.row * self.stride + self.rows {
                let inside = row.checked_sub(top).filter(|&row| row < height);
                for phase in 0..self.stride {
                    // Element `i` is the input column `i * stride + phase − left`.
                    let first = left.saturating_sub(phase).div_ceil(self.stride).min(self.length);
                    let end = (width + left).saturating_sub(phase).div_ceil(self.stride).min(self.length);
                    let (elements, at) = match inside {
                        Some(row) if end > first => {
                            let plane = (part.image * shape.channels + channel) * height + row;
                            (first..end, plane * width + first * self.stride + phase - left)
                        }
                        _ => (0..0, 0),
                    };
                    line(start, elements, at);
                    start += self.length;
                }
            }
        }
    }

    /// Lays the input under a part out as lines.
    #[inline(always)]
    fn lay_out(self, images: &[f32], shape: &Geometry, part: Part, channels: Range<usize>, to: &mut [f32]) {
        self.for_each(shape, part, channels, |start, inside, at| {
            let line = &mut to[start..][..self.length];
            line[..inside.start].fill(0.0);
            line[inside.end..].fill(0.0);
            let line = &mut line[inside];
            if self.stride == 1 {
                line.copy_from_slice(&images[at..][..line.len()]);
            } else if !line.is_empty() {
                for (to, value) in line.iter_mut().zip(images[at..].iter().step_by(self.stride)) {
                    *to = *value;
                }
            }
        });
    }

    /// Adds lines back to where they came from.
    #[inline(always)]
    fn put_back(self, from: &[f32], shape: &Geometry, part: Part, channels: Range<usize>, to: &mut [f32]) {
        self.for_each(shape, part, channels, |start, inside, at| {
            let line = &from[start..][..self.length][inside];
            if self.stride == 1 {
                for (value, line) in to[at..].iter_mut().zip(line) {
                    *value += line;
                }
            } else if !line.is_empty() {
                for (value, line) in to[at..].iter_mut().step_by(self.stride).zip(line) {
                    *value += line;
                }
            }
        });
    }
}

/// A block of channels under a tile. Unfolding and folding it are types of their own because only
/// `with_simd` is sure to be compiled for the processor at hand.
#[derive(Clone)]
struct Block<'a> {
    shape: &'a Geometry,
    tile: Tile,
    channels: Range<usize>,
}

impl Block<'_> {
    /// The first of its taps, and how many it has.
    fn taps(&self) -> (usize, usize) {
        let places = self.shape.places();
        (self.channels.start * places, self.channels.len() * places)
    }
}

fn unfold(images: &[f32], block: Block, columns: &mut [f32], buffer: &mut Vec<f32>) {
    Arch::new().dispatch(Unfold { images, block, columns, buffer });
}

fn fold(columns: &[f32], block: Block, images: &mut [f32], buffer: &mut Vec<f32>) {
    Arch::new().dispatch(Fold { columns, block, images, buffer });
}

/// Unfolds a block of `images`: `columns[tap][pixel]`.
struct Unfold<'a> {
    images: &'a [f32],
    block: Block<'a>,
    columns: &'a mut [f32],
    buffer: &'a mut Vec<f32>,
}

impl WithSimd for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { images, block: Block { shape, tile, channels }, columns, buffer } = self;
        let (pixels, wide) = (tile.rows() * shape.output[1], shape.output[1]);
        for part in shape.parts(tile) {
            let lines = Lines::new(shape, part);
            let buffer = sized(buffer, lines.size(channels.len()));
            lines.lay_out(images, shape, part, channels.clone(), buffer);
            let mut columns = columns.chunks_exact_mut(pixels);
            for channel in 0..channels.len() {
                for y in 0..shape.kernel[0] {
                    for (x, column) in (0..shape.kernel[1]).zip(&mut columns) {
                        let column = &mut column[part.at..][..part.rows * wide];
                        let from = &buffer[lines.start(channel, y, x)..];
                        for (to, from) in column.chunks_exact_mut(wide).zip(from.chunks(lines.step())) {
                            copy(&from[..wide], to);
                        }
                    }
                }
            }
        }
    }
}

/// Adds the columns of a block back to where in `images` they came from.
struct Fold<'a> {
    columns: &'a [f32],
    block: Block<'a>,
    images: &'a mut [f32],
    buffer: &'a mut Vec<f32>,
}

impl WithSimd for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { columns, block: Block { shape, tile, channels }, images, buffer } = self;
        let (pixels, wide) = (tile.rows() * shape.output[1], shape.output[1]);
        for part in shape.parts(tile) {
            let lines = Lines::new(shape, part);
            let buffer = sized(buffer, lines.size(channels.len()));
            buffer.fill(0.0);
            let mut columns = columns.chunks_exact(pixels);
            for channel in 0..channels.len() {
                for y in 0..shape.kernel[0] {
                    for (x, column) in (0..shape.kernel[1]).zip(&mut columns) {
                        let column = &column[part.at..][..part.rows * wide];
                        let to = &mut buffer[lines.start(channel, y, x)..];
                        for (from, to) in column.chunks_exact(wide).zip(to.chunks_mut(lines.step())) {
                            for (to, from) in to[..wide].iter_mut().zip(from) {
                                *to += from;
                            }
                        }
                    }
                }
            }
            lines.put_back(buffer, shape, part, channels.clone(), images);
        }
    }
}

/// Adds the bias to a filter's products and rectifies them.
struct Finished<'a> {
    products: &'a [f32],
    bias: f32,
    relu: bool,
    out: &'a mut [f32],
}

impl WithSimd for Finished<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { products, bias, relu, out } = self;
        if relu {
            for (out, product) in out.iter_mut().zip(products) {
                *out = rectified(product + bias);
            }
        } else {
            for (out, product) in out.iter_mut().zip(products) {
                *out = product + bias;
            }
        }
    }
}

/// Copies a short run: a call of `memcpy` would cost more than the copying.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    const LANES: usize = 8;
    if let Some(tail) = to.len().checked_sub(LANES) {
        for (to, from) in to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
            to.copy_from_slice(from);
        }
        to[tail..][..LANES].copy_from_slice(&from[tail..][..LANES]);
    } else {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
}

/// Buffers of one thread, kept from tile to tile.
#[derive(Default)]
struct Scratch {
    lines: Vec<f32>,
    columns: Vec<f32>,
    maps: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(work)
}

fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

/// `maps ∗ weight + bias`, rectified if `relu`.
///
/// # Shapes
/// As [`conv2d`](crate::conv2d), flat.
pub(super) fn forward(maps: &[f32], weight: &[f32], bias: &[f32], relu: bool, shape: &Geometry) -> Vec<f32> {
    let (taps, filters, wide) = (shape.taps(), shape.filters, shape.output[1]);
    let mut out = vec![0.0; shape.batch * shape.image_out()];
    let together = shape.images_together();
    if out.is_empty() {
        return out;
    }
    let forward_tile = |out: &mut [f32], maps: &[f32], tile: Tile, scratch: &mut Scratch| {
        let pixels = tile.rows() * wide;
        let products = sized(&mut scratch.maps, filters * pixels);
        for block in shape.blocks(tile) {
            let (first, count) = block.taps();
            let columns = sized(&mut scratch.columns, count * pixels);
            unfold(maps, block, columns, &mut scratch.lines);
            let (columns, weight) = ((&*columns, columns_of(pixels)), (&weight[first..], columns_of(taps)));
            matmul([pixels, filters, count], products, first > 0, columns, weight);
        }
        for part in shape.parts(tile) {
            let count = part.rows * wide;
            for (filter, bias) in bias.iter().enumerate() {
                let to = (part.image * filters + filter) * shape.pixels() + part.row * wide;
                let products = &products[filter * pixels + part.at..][..count];
                let finished = Finished { products, bias: *bias, relu, out: &mut out[to..][..count] };
                Arch::new().dispatch(finished);
            }
        }
    };
    out.par_chunks_mut(together * shape.image_out())
        .zip(maps.par_chunks(together * shape.image_in()))
        .for_each(|(out, maps)| {
            with_scratch(|scratch| {
                for tile in shape.tiles(out.len() / shape.image_out()) {
                    forward_tile(out, maps, tile, scratch);
                }
            });
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
    let gradient_tile = |out: &mut [f32], gradient: &[f32], tile: Tile, scratch: &mut Scratch| {
        let pixels = tile.rows() * wide;
        let maps = sized(&mut scratch.maps, filters * pixels);
        shape.gather(gradient, tile, maps);
        for block in shape.blocks(tile) {
            let (first, count) = block.taps();
            let columns = sized(&mut scratch.columns, count * pixels);
            let (maps, weight) = ((&*maps, columns_of(pixels)), (&weight[first..], rows_of(taps)));
            matmul([pixels, count, filters], columns, false, maps, weight);
            fold(columns, block, out, &mut scratch.lines);
        }
    };
    out.par_chunks_mut(together * shape.image_in())
        .zip(gradient.par_chunks(together * shape.image_out()))
        .for_each(|(out, gradient)| {
            with_scratch(|scratch| {
                for tile in shape.tiles(out.len() / shape.image_in()) {
                    gradient_tile(out, gradient, tile, scratch);
                }
            });
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
    // A sum is `[tap][filter]`: the other way round the columns would have to be transposed.
    let add_tile = |sum: &mut [f32], maps: &[f32], gradient: &[f32], tile: Tile, scratch: &mut Scratch| {
        let pixels = tile.rows() * wide;
        let gathered = sized(&mut scratch.maps, filters * pixels);
        shape.gather_transposed(gradient, tile, gathered);
        for block in shape.blocks(tile) {
            let (first, count) = block.taps();
            let columns = sized(&mut scratch.columns, count * pixels);
            unfold(maps, block, columns, &mut scratch.lines);
            let (gathered, columns) = ((&*gathered, columns_of(filters)), (&*columns, columns_of(pixels)));
            let sum = &mut sum[first * filters..][..count * filters];
            matmul([filters, count, pixels], sum, true, gathered, columns);
        }
    };
    let partial_sum = |(maps, gradient): (&[f32], &[f32])| {
        let mut sum = vec![0.0; filters * taps];
        let maps = maps.chunks(together * shape.image_in());
        with_scratch(|scratch| {
            for (maps, gradient) in maps.zip(gradient.chunks(together * shape.image_out())) {
                for tile in shape.tiles(gradient.len() / shape.image_out()) {
                    add_tile(&mut sum, maps, gradient, tile, scratch);
                }
            }
        });
        sum
    };
    let sums: Vec<Vec<f32>> = maps
        .par_chunks(images * shape.image_in())
        .zip(gradient.par_chunks(images * shape.image_out()))
        .map(partial_sum)
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
    let mut weights = vec![0.0; filters * taps];
    weights.par_chunks_mut(taps).enumerate().for_each(|(filter, weights)| {
        for (weight, tap) in weights.iter_mut().zip(total.chunks_exact(filters)) {
            *weight = tap[filter];
        }
    });
    weights
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
