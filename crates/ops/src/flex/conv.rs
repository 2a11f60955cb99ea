//! Convolution and its gradients as matrix products over tiles of the feature maps.
//!
//! The forward pass and the input gradient are both correlations of planes with kernels. The forward pass
//! correlates the maps with the weights. The input gradient correlates the output gradient with the flipped
//! weights, once for each position of an input pixel within the stride. A tile is a run of output rows, or
//! several images if the maps are small. The source under a tile is copied with its padding into a window.
//! The product reads patches from the window in place ([`product`]), so nothing is unfolded. The weight
//! gradient is the same product with pixels and taps exchanged. The tiles and panels depend only on the
//! shapes, and partial sums are added in a fixed order, so any number of threads gives the same bits.

use std::cell::RefCell;
use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::MANY_IMAGES;
use super::between::between;
use super::filled::filled;
use super::pool;
use super::product::{Panel, Table, panels, product};
use super::sweep::{copy, rectified};
use crate::config::Padding;

/// The shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Input channels of all groups.
    pub(super) channels: usize,
    /// `[height, width]` of the input maps.
    pub(super) input: [usize; 2],
    /// Output channels of all groups.
    pub(super) filters: usize,
    /// `[height, width]` of the kernel.
    pub(super) kernel: [usize; 2],
    /// `[height, width]` of the output maps.
    pub(super) output: [usize; 2],
    pub(super) stride: usize,
    pub(super) padding: Padding,
    pub(super) groups: usize,
}

/// Maps of a batch, or the data to compute them from, image by image.
#[derive(Clone, Copy)]
pub(super) enum Images<'a> {
    /// `[batch, channels, height, width]`.
    Whole(&'a [f32]),
    /// The gradient before a max pooling, from the gradient of the maxima and their positions.
    Pooled { gradient: &'a [f32], places: &'a [u8], scatter: &'a pool::Scatter },
}

impl Images<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Whole(maps) => maps.is_empty(),
            Self::Pooled { gradient, .. } => gradient.is_empty(),
        }
    }

    /// Calls `work` with the maps of some images of a batch of `batch`; each image has `size` elements.
    fn with<T>(&self, images: Range<usize>, [batch, size]: [usize; 2], work: impl FnOnce(&[f32]) -> T) -> T {
        match *self {
            Self::Whole(maps) => work(&maps[images.start * size..images.end * size]),
            Self::Pooled { gradient, places, scatter } => between(images.len() * size, |maps| {
                let pooled = gradient.len() / batch;
                let pooled = images.start * pooled..images.end * pooled;
                maps.fill(0.0);
                scatter.planes(&gradient[pooled.clone()], &places[pooled], maps);
                work(maps)
            }),
        }
    }
}

/// Approximate number of pixels in a tile.
const PIXELS: usize = 192;
/// The largest number of partial sums of a weight gradient.
const PARTIAL_SUMS: usize = 16;

impl Geometry {
    /// Returns `None` if the kernel does not fit into the padded maps.
    pub(super) fn new(
        [batch, channels, height, width]: [usize; 4],
        [filters, _, kernel_height, kernel_width]: [usize; 4],
        stride: usize,
        padding: Padding,
        groups: usize,
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
            groups,
        })
    }

    /// The number of taps of a kernel: the inputs of one output pixel.
    fn taps(&self) -> usize {
        self.channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    fn pack_forward(&self, correlation: &Correlation, weight: &[f32]) -> Vec<Packed> {
        let place = Strides {
            first: 0,
            group: correlation.planes * self.taps(),
            plane: self.taps(),
            source: self.kernel[0] * self.kernel[1],
            y: self.kernel[1] as isize,
            x: 1,
        };
        correlation.pack(weight, &place)
    }

    fn forward(&self) -> Correlation {
        let Padding { top, left, .. } = self.padding;
        Correlation {
            groups: self.groups,
            sources: self.channels / self.groups,
            planes: self.filters / self.groups,
            source: self.input,
            kernel: self.kernel,
            stride: self.stride,
            first: [-(top as isize), -(left as isize)],
            output: self.output,
            whole: self.output,
            at: [0, 0],
            step: 1,
        }
    }

    /// Returns the correlation for the gradient of input pixels at one phase of the stride. Their outputs lie
    /// under `place`, `place + stride`, … of the kernel. Also returns the kernel position of the
    /// correlation's tap `[0, 0]`.
    fn backward(&self, place: [usize; 2]) -> (Correlation, [usize; 2]) {
        let (stride, before) = (self.stride, [self.padding.top, self.padding.left]);
        let kernel = [0, 1].map(|d| self.kernel[d].saturating_sub(place[d]).div_ceil(stride));
        let at = [0, 1].map(|d| (place[d] + stride - before[d] % stride) % stride);
        let first = [0, 1].map(|d| {
            let nearest = (at[d] + before[d] - place[d]) as isize / stride as isize;
            nearest - kernel[d] as isize + 1
        });
        let correlation = Correlation {
            groups: self.groups,
            sources: self.filters / self.groups,
            planes: self.channels / self.groups,
            source: self.output,
            kernel,
            stride: 1,
            first,
            output: [0, 1].map(|d| self.input[d].saturating_sub(at[d]).div_ceil(stride)),
            whole: self.input,
            at,
            step: stride,
        };
        (correlation, [0, 1].map(|d| (place[d] + kernel[d] * stride).saturating_sub(stride)))
    }
}

/// `out[plane] = Σ kernels[plane][source] ⋆ source` over planes with zero padding.
#[derive(Debug, Clone, Copy)]
struct Correlation {
    groups: usize,
    /// Source planes per group.
    sources: usize,
    /// Output planes per group.
    planes: usize,
    /// `[height, width]` of the source planes.
    source: [usize; 2],
    kernel: [usize; 2],
    /// The stride in the source between outputs.
    stride: usize,
    /// The position in the source of the first output's first tap; negative in the zero padding.
    first: [isize; 2],
    /// `[rows, columns]` of the outputs.
    output: [usize; 2],
    /// `[height, width]` of the planes that contain the outputs.
    whole: [usize; 2],
    /// The position of the first output in those planes.
    at: [usize; 2],
    /// The step between outputs in those planes.
    step: usize,
}

/// The split of a correlation into tiles, and the tables that every tile uses.
#[derive(Debug)]
struct Tiling {
    /// Images per tile.
    images: usize,
    /// Tiles per image.
    tiles: usize,
    /// `[rows, columns]` of the source under a tile.
    window: [usize; 2],
    /// Offsets in the window of each pixel's first tap: image by image, row by row.
    pixels: Table,
    /// Offsets from a pixel's first tap to each of its taps.
    taps: Table,
}

impl Tiling {
    /// The size of a window that holds all images of a tile.
    fn size(&self, sources: usize) -> usize {
        self.images * sources * self.window[0] * self.window[1]
    }
}

/// A run of output rows of one image, or of several images.
#[derive(Debug, Clone, Copy)]
struct Tile {
    images: usize,
    first: usize,
    rows: usize,
}

impl Correlation {
    fn tiling(&self, batch: usize) -> Tiling {
        let [rows, columns] = self.output;
        let pixels = rows * columns;
        let (tiles, images) = ((pixels / PIXELS).clamp(1, rows), (PIXELS / pixels).clamp(1, batch.max(1)));
        let rows = rows.div_ceil(tiles);
        let [tall, wide] = self.kernel;
        let window = [(rows - 1) * self.stride + tall, (columns - 1) * self.stride + wide];
        let (plane, line) = (window[0] * window[1], window[1]);
        let of_pixel = (0..images).flat_map(|image| {
            (0..rows).flat_map(move |row| {
                (0..columns)
                    .map(move |column| image * self.sources * plane + (row * line + column) * self.stride)
            })
        });
        let of_tap = (0..self.sources).flat_map(|source| {
            (0..tall).flat_map(move |y| (0..wide).map(move |x| source * plane + y * line + x))
        });
        Tiling { images, tiles, window, pixels: Table::new(of_pixel), taps: Table::new(of_tap) }
    }

    /// Returns the tiles of `images`. They have nearly equal sizes, since a small last tile would take almost
    /// as long as a full one.
    fn tiles(&self, tiling: &Tiling, images: usize) -> impl Iterator<Item = Tile> + use<> {
        let (rows, tiles) = (self.output[0], tiling.tiles);
        (0..tiles).map(move |tile| {
            let (first, end) = (tile * rows / tiles, (tile + 1) * rows / tiles);
            Tile { images, first, rows: end - first }
        })
    }

    /// Copies the source under a tile, with its zero padding, into `window`: `[image][source][row][column]`.
    fn lay_out(&self, source: &[f32], group: usize, tile: Tile, tiling: &Tiling, window: &mut [f32]) {
        let ([height, width], [lines, length]) = (self.source, tiling.window);
        let used = (tile.rows - 1) * self.stride + self.kernel[0];
        let inside = |at: isize, side: usize| at.clamp(0, side as isize) as usize;
        let left = inside(-self.first[1], length);
        let right = inside(width as isize - self.first[1], length).max(left);
        let from = inside(self.first[1], width);
        let top = self.first[0] + (tile.first * self.stride) as isize;
        let planes = window.chunks_exact_mut(lines * length).take(tile.images * self.sources);
        for (index, plane) in planes.enumerate() {
            let (image, channel) = (index / self.sources, index % self.sources);
            let channel = (image * self.groups + group) * self.sources + channel;
            let source = &source[channel * height * width..][..height * width];
            for (row, line) in plane.chunks_exact_mut(length).take(used).enumerate() {
                let row = top + row as isize;
                if row < 0 || row >= height as isize {
                    line.fill(0.0);
                    continue;
                }
                line[..left].fill(0.0);
                copy(&source[row as usize * width + from..][..right - left], &mut line[left..right]);
                line[right..].fill(0.0);
            }
        }
    }

    /// Writes the sums of a panel of planes to their positions in `out`, which starts at the first of
    /// `planes`.
    fn put(
        &self,
        sums: &[f32],
        panel: &Packed,
        tile: Tile,
        finish: &Finish,
        planes: Planes,
        out: &mut [f32],
    ) {
        let (columns, [height, width]) = (self.output[1], self.whole);
        let Panel { count, width: lanes, .. } = panel.panel;
        for (image, sums) in sums.chunks_exact(tile.rows * columns * lanes).enumerate() {
            for lane in 0..count {
                let plane = image * planes.count + panel.plane - planes.first + lane;
                let plane = &mut out[plane * height * width..][..height * width];
                let bias = finish.bias.map_or(0.0, |bias| bias[panel.plane + lane]);
                if self.step == 1 {
                    // The outputs form one run. Splitting it into rows would cost more than copying them.
                    let run = &mut plane[tile.first * columns..][..tile.rows * columns];
                    finish.put(bias, sums, [lane, lanes], run.iter_mut());
                    continue;
                }
                for (row, sums) in sums.chunks_exact(columns * lanes).enumerate() {
                    let row = self.at[0] + (tile.first + row) * self.step;
                    let line = plane[row * width + self.at[1]..(row + 1) * width].iter_mut();
                    finish.put(bias, sums, [lane, lanes], line.step_by(self.step));
                }
            }
        }
    }

    /// Elements of an image's source planes, and of its output planes.
    fn sizes(&self) -> [usize; 2] {
        let source = self.groups * self.sources * self.source[0] * self.source[1];
        [source, self.groups * self.planes * self.whole[0] * self.whole[1]]
    }

    /// The groups of images that are computed together.
    fn parts(
        &self,
        tiling: &Tiling,
        batch: usize,
    ) -> impl IndexedParallelIterator<Item = Range<usize>> + use<> {
        let images = tiling.images;
        let parts = (0..batch.div_ceil(images)).into_par_iter();
        parts.map(move |part| part * images..((part + 1) * images).min(batch))
    }

    /// Correlates `source` with packed kernels, for output planes that belong to this correlation only.
    fn new_planes(&self, source: Images<'_>, kernels: &[Packed], finish: &Finish, batch: usize) -> Vec<f32> {
        let (tiling, [image_in, image_out]) = (self.tiling(batch), self.sizes());
        filled(batch * image_out, tiling.images * image_out, self.parts(&tiling, batch), |images, out| {
            source.with(images, [batch, image_in], |source| {
                self.run(source, kernels, finish, batch, &tiling, out);
            });
        })
    }

    /// Correlates `source` with packed kernels and writes this correlation's positions of `out`.
    fn fill_planes(
        &self,
        source: Images<'_>,
        kernels: &[Packed],
        finish: &Finish,
        batch: usize,
        out: &mut [f32],
    ) {
        let (tiling, [image_in, image_out]) = (self.tiling(batch), self.sizes());
        let out = out.par_chunks_mut(tiling.images * image_out);
        out.zip(self.parts(&tiling, batch)).for_each(|(out, images)| {
            source.with(images, [batch, image_in], |source| {
                self.run(source, kernels, finish, batch, &tiling, out);
            });
        });
    }

    /// Correlates a group of images that are computed together.
    fn run(
        &self,
        source: &[f32],
        kernels: &[Packed],
        finish: &Finish,
        batch: usize,
        tiling: &Tiling,
        out: &mut [f32],
    ) {
        let (all, plane_out) = (self.groups * self.planes, self.whole[0] * self.whole[1]);
        let images = source.len() / self.sizes()[0];
        // With too few images for all threads, threads share an image's planes. There are only two tasks per
        // thread, since each lays out its own window. The split does not affect any sum.
        let planes = match kernels.first() {
            Some(kernel) if batch < MANY_IMAGES && self.groups == 1 && tiling.images == 1 => {
                let tasks = (2 * rayon::current_num_threads()).div_ceil(batch.max(1));
                (kernels.len().div_ceil(tasks) * kernel.panel.width).min(all)
            }
            _ => all,
        };
        let task = |planes: Planes, out: &mut [f32]| {
            with_scratch(|Scratch { window, sums }| {
                let window = sized(window, tiling.size(self.sources));
                for tile in self.tiles(tiling, images) {
                    let mut laid_out = None;
                    let pixels = images * tile.rows * self.output[1];
                    for kernel in kernels.iter().filter(|kernel| planes.have(kernel.plane)) {
                        if laid_out != Some(kernel.group) {
                            self.lay_out(source, kernel.group, tile, tiling, window);
                            laid_out = Some(kernel.group);
                        }
                        let sums = sized(sums, pixels * kernel.panel.width);
                        let panel = (kernel.values.as_slice(), kernel.panel.width);
                        product(window, tiling.pixels.first(pixels), tiling.taps.all(), panel, sums, false);
                        self.put(sums, kernel, tile, finish, planes, out);
                    }
                }
            });
        };
        out.par_chunks_mut(images * planes * plane_out).enumerate().for_each(|(index, out)| {
            let first = index * planes;
            task(Planes { first, count: planes.min(all - first) }, out);
        });
    }

    /// Packs the kernels in `weight` for the product.
    fn pack(&self, weight: &[f32], place: &Strides) -> Vec<Packed> {
        let [tall, wide] = self.kernel;
        let pack = |(group, panel): (usize, Panel)| {
            let mut values = vec![0.0; self.sources * tall * wide * panel.width];
            let mut lines = values.chunks_exact_mut(panel.width);
            let first = place.first + group * place.group + panel.first * place.plane;
            for source in 0..self.sources {
                for y in 0..tall {
                    let at = (first + source * place.source) as isize + y as isize * place.y;
                    for (x, line) in (0..wide).zip(&mut lines) {
                        let weight = &weight[(at + x as isize * place.x) as usize..];
                        for (lane, value) in line[..panel.count].iter_mut().enumerate() {
                            *value = weight[lane * place.plane];
                        }
                    }
                }
            }
            Packed { group, plane: group * self.planes + panel.first, panel, values }
        };
        let cut: Vec<(usize, Panel)> =
            (0..self.groups).flat_map(|group| panels(self.planes).map(move |panel| (group, panel))).collect();
        cut.into_par_iter().map(pack).collect()
    }
}

/// The layout of a correlation's kernels in the weights.
struct Strides {
    /// The index of the first tap of the first plane and source.
    first: usize,
    group: usize,
    plane: usize,
    source: usize,
    y: isize,
    x: isize,
}

/// The steps applied to sums before they are stored.
struct Finish<'a> {
    bias: Option<&'a [f32]>,
    relu: bool,
}

impl Finish<'_> {
    /// Stores one lane of sums after the final steps.
    #[inline(always)]
    fn put<'a>(
        &self,
        bias: f32,
        sums: &[f32],
        [lane, lanes]: [usize; 2],
        to: impl Iterator<Item = &'a mut f32>,
    ) {
        let sums = to.zip(sums.chunks_exact(lanes));
        if self.relu {
            sums.for_each(|(to, sums)| *to = rectified(sums[lane] + bias));
        } else {
            sums.for_each(|(to, sums)| *to = sums[lane] + bias);
        }
    }
}

/// Adjacent planes of a result.
#[derive(Debug, Clone, Copy)]
struct Planes {
    first: usize,
    count: usize,
}

impl Planes {
    fn have(self, plane: usize) -> bool {
        (self.first..self.first + self.count).contains(&plane)
    }
}

/// Kernels of adjacent planes of a group, interleaved: `[source, y, x][plane]`.
struct Packed {
    group: usize,
    /// The first of the planes, numbered across all groups.
    plane: usize,
    panel: Panel,
    values: Vec<f32>,
}

/// Buffers of one thread, reused for all tiles.
#[derive(Default)]
struct Scratch {
    window: Vec<f32>,
    sums: Vec<f32>,
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

/// `maps ∗ weight + bias`, with a ReLU if `relu`.
///
/// # Shapes
/// Same as [`conv2d`](crate::conv2d), flat.
pub(super) fn forward(maps: &[f32], weight: &[f32], bias: &[f32], relu: bool, shape: &Geometry) -> Vec<f32> {
    let correlation = shape.forward();
    let kernels = shape.pack_forward(&correlation, weight);
    let finish = Finish { bias: Some(bias), relu };
    correlation.new_planes(Images::Whole(maps), &kernels, &finish, shape.batch)
}

/// The maxima of [`forward`] and their positions. The maps exist only image by image.
pub(super) fn forward_pooled(
    maps: &[f32],
    weight: &[f32],
    bias: &[f32],
    relu: bool,
    shape: &Geometry,
    pool: &pool::Geometry,
) -> (Vec<f32>, Vec<u8>) {
    let correlation = shape.forward();
    let kernels = shape.pack_forward(&correlation, weight);
    let finish = Finish { bias: Some(bias), relu };
    let (tiling, [image_in, image_out]) = (correlation.tiling(shape.batch), correlation.sizes());
    let pooled = shape.filters * pool.output[0] * pool.output[1];
    let (length, piece) = (shape.batch * pooled, tiling.images * pooled);
    let mut places = vec![0; length];
    if length == 0 {
        return (Vec::new(), places);
    }
    let (arch, lines) = (Arch::new(), pool::Lines::new(*pool));
    let beside = places.par_chunks_mut(piece).zip(correlation.parts(&tiling, shape.batch));
    let maxima = filled(length, piece, beside, |(places, images), maxima| {
        between(images.len() * image_out, |planes| {
            let source = &maps[images.start * image_in..images.end * image_in];
            correlation.run(source, &kernels, &finish, shape.batch, &tiling, planes);
            arch.dispatch(pool::Maxima { lines, planes, maxima, places });
        });
    });
    (maxima, places)
}

/// The gradient with respect to the input maps.
pub(super) fn input_gradient(gradient: Images<'_>, weight: &[f32], shape: &Geometry) -> Vec<f32> {
    let mut out = match shape.stride {
        1 => Vec::new(),
        _ => vec![0.0; shape.batch * shape.channels * shape.input[0] * shape.input[1]],
    };
    // Positions beyond the kernel belong to pixels that no output reads.
    let [rows, columns] = shape.kernel.map(|side| side.min(shape.stride));
    for place in (0..rows).flat_map(|y| (0..columns).map(move |x| [y, x])) {
        let (correlation, last) = shape.backward(place);
        if correlation.kernel.contains(&0) || correlation.output.contains(&0) {
            continue; // pixels that no output sees
        }
        // Flipped: from the last tap at this position to the first, and from filters to channels.
        let wide = shape.kernel[1];
        let place = Strides {
            first: last[0] * wide + last[1],
            group: correlation.sources * shape.taps(),
            plane: shape.kernel[0] * wide,
            source: shape.taps(),
            y: -((shape.stride * wide) as isize),
            x: -(shape.stride as isize),
        };
        let kernels = correlation.pack(weight, &place);
        let finish = Finish { bias: None, relu: false };
        if shape.stride == 1 {
            return correlation.new_planes(gradient, &kernels, &finish, shape.batch);
        }
        correlation.fill_planes(gradient, &kernels, &finish, shape.batch, &mut out);
    }
    out
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(maps: &[f32], gradient: Images<'_>, shape: &Geometry) -> Vec<f32> {
    let (correlation, taps) = (shape.forward(), shape.taps());
    if maps.is_empty() || gradient.is_empty() {
        return vec![0.0; shape.filters * taps];
    }
    let tiling = correlation.tiling(shape.batch);
    let images = shape.batch.div_ceil(PARTIAL_SUMS).next_multiple_of(tiling.images);
    let image_in = shape.channels * shape.input[0] * shape.input[1];
    let map = shape.output[0] * shape.output[1];
    let image_out = shape.filters * map;
    // The layout of a sum is `[group][panel][tap][filter]`.
    let panels: Vec<Panel> = panels(correlation.planes).collect();
    let size: usize = shape.groups * panels.iter().map(|panel| taps * panel.width).sum::<usize>();
    let add_tile = |sums: &mut [f32], maps: &[f32], gradient: &[f32], tile: Tile, scratch: &mut Scratch| {
        let window = sized(&mut scratch.window, tiling.size(correlation.sources));
        let count = tile.rows * shape.output[1];
        let mut rest = sums;
        for group in 0..shape.groups {
            correlation.lay_out(maps, group, tile, &tiling, window);
            for panel in &panels {
                let lines = sized(&mut scratch.sums, tile.images * count * panel.width);
                for (image, lines) in lines.chunks_exact_mut(count * panel.width).enumerate() {
                    let filter = image * shape.filters + group * correlation.planes + panel.first;
                    let from = filter * map + tile.first * shape.output[1];
                    side_by_side(&gradient[from..], map, *panel, lines);
                }
                let sums;
                (sums, rest) = rest.split_at_mut(taps * panel.width);
                let pixels = tiling.pixels.first(tile.images * count);
                product(window, tiling.taps.all(), pixels, (lines, panel.width), sums, true);
            }
        }
    };
    let partial_sum = |part: usize| {
        let mut sums = vec![0.0; size];
        let end = ((part + 1) * images).min(shape.batch);
        for first in (part * images..end).step_by(tiling.images) {
            let together = first..(first + tiling.images).min(end);
            let maps = &maps[first * image_in..together.end * image_in];
            gradient.with(together.clone(), [shape.batch, image_out], |gradient| {
                with_scratch(|scratch| {
                    for tile in correlation.tiles(&tiling, together.len()) {
                        add_tile(&mut sums, maps, gradient, tile, scratch);
                    }
                });
            });
        }
        sums
    };
    let parts = (0..shape.batch.div_ceil(images)).into_par_iter();
    let sums: Vec<Vec<f32>> = parts.map(partial_sum).collect();
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
    let mut weights = vec![0.0; shape.filters * taps];
    let group = size / shape.groups;
    weights.par_chunks_mut(taps).enumerate().for_each(|(filter, weights)| {
        let (in_group, filter) = (filter / correlation.planes * group, filter % correlation.planes);
        // All panels before a filter's panel are full.
        if let Some(panel) = panels.iter().rfind(|panel| panel.first <= filter) {
            let sums = &total[in_group + panel.first * taps..][..taps * panel.width];
            for (weight, sums) in weights.iter_mut().zip(sums.chunks_exact(panel.width)) {
                *weight = sums[filter - panel.first];
            }
        }
    });
    weights
}

/// Interleaves values of adjacent planes: `lines[pixel][plane]`.
fn side_by_side(planes: &[f32], size: usize, panel: Panel, lines: &mut [f32]) {
    let pixels = lines.len() / panel.width;
    if panel.count < panel.width {
        lines.fill(0.0);
    }
    for plane in 0..panel.count {
        let values = &planes[plane * size..][..pixels];
        for (line, value) in lines.chunks_exact_mut(panel.width).zip(values) {
            line[plane] = *value;
        }
    }
}

/// The gradient with respect to the bias: the sum over images and pixels.
pub(super) fn bias_gradient(gradient: &[f32], filters: usize, pixels: usize) -> Vec<f32> {
    let images = gradient.len() / (filters * pixels).max(1);
    let map = |image: usize, filter: usize| &gradient[(image * filters + filter) * pixels..][..pixels];
    let sum = |filter| (0..images).map(|image| sum_of(map(image, filter))).sum();
    (0..filters).into_par_iter().map(sum).collect()
}

/// Sums in eight interleaved parts, which is faster and more exact than a sequential sum.
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
