//! The weight gradient with fewer multiplications: minimal filtering along the rows of feature maps.
//!
//! A row of a kernel's gradient is the source's rows filtered by rows of the output gradient. A tile is a run of adjacent
//! pixels of the gradient, which takes the kernel's place, and gives as many outputs as the kernel has taps in a row.
//! Three taps take tiles of four or three pixels with six or five multiplications, not twelve or nine; five taps take
//! tiles of two pixels with six, not ten. The tiles of many images are added up at the points, where all kernel rows and a
//! panel of filters are one matrix product, and each partial sum of a batch is transformed to weights once. Filtering in both directions
//! would save more and round more.

use std::ops::Range;

use super::super::buffers::{Buffers, sized};
use super::super::correlation::Correlation;
use super::super::tiling::PARTIAL_SUMS;
use super::grid::{LANES, Tiles};
use super::source::interleave;
use super::transforms::{Inputs, KernelSide, LONG, Outputs, SHORT, Taps, Transformation};
use crate::config::ConvMethod;
use crate::flex::MANY_IMAGES;
use crate::flex::product::{COLUMNS, Panel, Table, panels, product};
use crate::flex::registers::{Registers, WithRegisters, on_registers};
use crate::flex::transpose::to_lines;

/// About how many tiles a product adds up.
const TILES: usize = 192;

/// The source planes and output planes of a group from which on rows are filtered. Smaller layers would gain too, but runs
/// of networks that have no larger ones are published, and would have other bits.
const PLANES: [usize; 2] = [48, 128];

/// How the weight gradient of a convolution is filtered.
#[derive(Debug)]
pub(in super::super) struct Rows {
    correlation: Correlation,
    /// The filters of a group.
    panels: Vec<Panel>,
    kernel: KernelSide,
    /// The tiles of a row.
    columns: Tiles,
    /// Images that are added up together.
    pub(in super::super) images: usize,
    /// Bands of rows of an image that are added up one after another.
    bands: usize,
    /// The most rows of a band.
    rows: usize,
    /// The offset of each kernel row in the transformed source. Their order is that of the sums: blocks of [`LANES`]
    /// source planes, then the rows of a kernel, then the planes of a block.
    kernel_rows: Table,
    /// The offsets of all tiles there, and of the long ones. Those of fewer rows or images are the first ones, since
    /// several images have one band.
    tiles: [Table; 2],
}

impl Correlation {
    /// Returns how to filter the weight gradient if it pays. The rule knows shapes only.
    pub(in super::super) fn filtered_rows(&self, method: ConvMethod, batch: usize) -> Option<Rows> {
        let kernel = KernelSide::of(self.kernel)?;
        let fits = method == ConvMethod::Winograd && self.stride == 1;
        let large = self.sources >= PLANES[0] && self.planes >= PLANES[1] && batch >= MANY_IMAGES;
        (fits && large).then(|| Rows::new(*self, kernel, batch))
    }
}

/// `count / of`, rounded.
fn nearest(count: usize, of: usize) -> usize {
    (2 * count + of) / (2 * of)
}

impl Rows {
    fn new(correlation: Correlation, kernel: KernelSide, batch: usize) -> Self {
        let columns = Tiles::cover(correlation.output[1], kernel);
        let in_image = correlation.output[0] * columns.count();
        let bands = nearest(in_image, TILES).clamp(1, correlation.output[0]);
        // Not so many that there would be fewer partial sums, which threads share.
        let images = nearest(TILES, in_image).clamp(1, batch.div_ceil(PARTIAL_SUMS));
        let rows = correlation.output[0].div_ceil(bands);
        let (tall, line) = (correlation.kernel[0], columns.count() * LANES);
        let block = (rows + tall - 1) * line;
        let sources = correlation.sources;
        let kernel_rows = (0..sources).step_by(LANES).flat_map(|first| {
            let planes = LANES.min(sources - first);
            (0..tall)
                .flat_map(move |y| (0..planes).map(move |plane| first / LANES * block + y * line + plane))
        });
        let image = sources.div_ceil(LANES) * block;
        let offsets = |tiles: Range<usize>| {
            let mut offsets = Vec::new();
            for row in (0..images).flat_map(|at| (0..rows).map(move |row| at * image + row * line)) {
                offsets.extend(tiles.clone().map(|tile| row + tile * LANES));
            }
            Table::new(offsets.into_iter())
        };
        Self {
            panels: panels(correlation.planes).collect(),
            kernel,
            columns,
            images,
            bands,
            rows,
            kernel_rows: Table::new(kernel_rows),
            tiles: [offsets(0..columns.count()), offsets(columns.of(LONG))],
            correlation,
        }
    }

    /// Sums at a point for one filter.
    fn sums_of_filter(&self) -> usize {
        self.correlation.sources * self.correlation.kernel[0]
    }

    /// Elements of a group's sums: `[panel][point][kernel row][filter]`.
    fn sums_of_group(&self) -> usize {
        LONG * self.sums_of_filter() * self.panels.iter().map(|panel| panel.width).sum::<usize>()
    }

    /// Elements of the sums of all groups.
    pub(in super::super) fn size(&self) -> usize {
        self.correlation.groups * self.sums_of_group()
    }

    /// Rows of the source under a band.
    fn lines(&self) -> usize {
        self.rows + self.correlation.kernel[0] - 1
    }

    /// Elements of the source under a band at one point. The odd number of cache lines keeps the points apart.
    fn at_point(&self) -> usize {
        let blocks = self.correlation.sources.div_ceil(LANES);
        ((self.images * blocks * self.lines() * self.columns.count()) | 1) * LANES
    }

    /// Adds the products of at most [`images`](Self::images) images to the sums.
    pub(in super::super) fn add(
        &self,
        input: &[f32],
        gradient: &[f32],
        buffers: &mut Buffers,
        sums: &mut [f32],
    ) {
        let (height, bands) = (self.correlation.output[0], self.bands);
        for (group, sums) in sums.chunks_exact_mut(self.sums_of_group()).enumerate() {
            for band in 0..bands {
                let rows = band * height / bands..(band + 1) * height / bands;
                self.add_band(input, gradient, group, rows, buffers, sums);
            }
        }
    }

    fn add_band(
        &self,
        input: &[f32],
        gradient: &[f32],
        group: usize,
        rows: Range<usize>,
        buffers: &mut Buffers,
        mut rest: &mut [f32],
    ) {
        // The gradient's pixels and lines take the places of a convolution's sums and products.
        let Buffers { window, sums: pixels, transformed: source, products: lines } = buffers;
        let Correlation { planes, groups, output: [height, length], .. } = self.correlation;
        let images = input.len() / self.correlation.sizes()[0];
        let at_point = self.at_point();
        let source = sized(source, LONG * at_point);
        let window = sized(window, self.lines() * self.columns.inputs() * LANES);
        on_registers(Source { plan: self, input, group, rows: rows.clone(), window, out: source });
        let lines_of_pixels = images * rows.len();
        let tiles =
            [self.columns.count(), self.columns.of(LONG).len()].map(|in_row| in_row * lines_of_pixels);
        for &Panel { first, count, width } in &self.panels {
            let pixels = sized(pixels, lines_of_pixels * length * width);
            if count < width {
                pixels.fill(0.0);
            }
            for (image, pixels) in pixels.chunks_exact_mut(rows.len() * length * width).enumerate() {
                let filter = (image * groups + group) * planes + first;
                let from = &gradient[(filter * height + rows.start) * length..];
                to_lines(from, [count, height * length], pixels, [rows.len() * length, width]);
            }
            let lines = sized(lines, LONG * tiles[0] * width);
            on_registers(Gradient { plan: self, length, width, pixels, out: lines });
            let size = self.sums_of_filter() * width;
            let sums;
            (sums, rest) = std::mem::take(&mut rest).split_at_mut(LONG * size);
            for (point, sums) in sums.chunks_exact_mut(size).enumerate() {
                let which = usize::from(point >= SHORT);
                let source = &source[point * at_point..][..at_point];
                let lines = &lines[point * tiles[0] * width..][..tiles[which] * width];
                let columns = self.tiles[which].first(tiles[which]);
                product(source, self.kernel_rows.all(), columns, (lines, width), sums, true, COLUMNS);
            }
        }
    }

    /// Transforms the sums to weights: `[group][panel][source, tap][filter]`.
    pub(in super::super) fn weights(&self, mut sums: &[f32]) -> Vec<f32> {
        let sums_of_filter = self.sums_of_filter();
        let mut weights = vec![0.0; sums.len() / LONG * self.correlation.kernel[1]];
        let mut rest = weights.as_mut_slice();
        for panel in (0..self.correlation.groups).flat_map(|_| &self.panels) {
            let (of_panel, out);
            (of_panel, sums) = sums.split_at(LONG * sums_of_filter * panel.width);
            (out, rest) = rest.split_at_mut(self.correlation.kernel[1] * sums_of_filter * panel.width);
            on_registers(Weights { plan: self, width: panel.width, sums: of_panel, out });
        }
        weights
    }
}

/// Transforms the source of a group under a band to `[point][image][source / 16][row][tile][source % 16]`.
struct Source<'a> {
    plan: &'a Rows,
    input: &'a [f32],
    group: usize,
    rows: Range<usize>,
    /// Of arbitrary content.
    window: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithRegisters for Source<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(mut self, registers: R) {
        let Correlation { sources, groups, source: [height, width], kernel, .. } = self.plan.correlation;
        let images = self.input.len() / self.plan.correlation.sizes()[0];
        let inputs = [self.rows.len() + kernel[0] - 1, self.plan.columns.inputs()];
        // Zero padding: the copies below do not touch it.
        self.window.fill(0.0);
        let mut to = 0;
        for image in 0..images {
            for block in (0..sources).step_by(LANES) {
                let first = (image * groups + self.group) * sources + block;
                let planes = &self.input[first * height * width..];
                let planes = &planes[..LANES.min(sources - block) * height * width];
                interleave(&self.plan.correlation, self.rows.start, inputs, planes, self.window);
                for row in 0..inputs[0] {
                    self.transform::<R, LONG>(registers, row, to + row * self.plan.columns.count());
                    self.transform::<R, SHORT>(registers, row, to + row * self.plan.columns.count());
                }
                to += self.plan.lines() * self.plan.columns.count();
            }
        }
    }
}

impl Source<'_> {
    /// Transforms the tiles of one length in a row of the window.
    #[inline(always)]
    fn transform<R: Registers, const WIDE: usize>(&mut self, registers: R, row: usize, to: usize)
    where
        Inputs: Transformation<WIDE, WIDE>,
    {
        let (columns, wide) = (self.plan.columns, LANES / R::LANES);
        let (window, out) = (R::slice(self.window), R::slice_mut(self.out));
        let at_point = out.len() / LONG;
        for tile in columns.of(WIDE) {
            for register in 0..wide {
                let from = (row * columns.inputs() + columns.first(tile)) * wide + register;
                let mut line = [registers.splat(0.0); WIDE];
                for (x, value) in line.iter_mut().enumerate() {
                    *value = window[from + x * wide];
                }
                for (point, value) in Inputs::apply(registers, line).into_iter().enumerate() {
                    out[point * at_point + (to + tile) * wide + register] = value;
                }
            }
        }
    }
}

/// Transforms rows of the gradient from `[row][pixel][filter]` to `[point][row][tile][filter]`.
struct Gradient<'a> {
    plan: &'a Rows,
    /// Pixels of a row.
    length: usize,
    width: usize,
    pixels: &'a [f32],
    out: &'a mut [f32],
}

impl WithRegisters for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(mut self, registers: R) {
        match self.plan.kernel {
            KernelSide::Three => {
                self.transform::<R, LONG, 4>(registers);
                self.transform::<R, SHORT, 3>(registers);
            }
            KernelSide::Five => self.transform::<R, LONG, 2>(registers),
        }
    }
}

impl Gradient<'_> {
    /// Transforms the tiles of one length, of which the last ones may overhang.
    #[inline(always)]
    fn transform<R: Registers, const POINTS: usize, const PIXELS: usize>(&mut self, registers: R) {
        let (columns, length, wide) = (self.plan.columns, self.length, self.width / R::LANES);
        let (pixels, out) = (R::slice(self.pixels), R::slice_mut(self.out));
        let at_point = out.len() / LONG;
        let long = columns.of(LONG).len();
        for (row, pixels) in pixels.chunks_exact(length * wide).enumerate() {
            for tile in columns.of(POINTS) {
                for register in 0..wide {
                    let mut line = [registers.splat(0.0); PIXELS];
                    for (value, pixel) in line.iter_mut().zip(columns.first(tile)..length) {
                        *value = pixels[pixel * wide + register];
                    }
                    let points: [R::Floats; LONG] = Taps::apply(registers, line);
                    for (point, value) in points.into_iter().enumerate().take(POINTS) {
                        // Only long tiles have the last point.
                        let in_row = if point < SHORT { columns.count() } else { long };
                        out[point * at_point + (row * in_row + tile) * wide + register] = value;
                    }
                }
            }
        }
    }
}

/// Transforms a panel's sums, `[point][kernel row][filter]`, to `[source, tap][filter]`.
struct Weights<'a> {
    plan: &'a Rows,
    width: usize,
    sums: &'a [f32],
    out: &'a mut [f32],
}

impl WithRegisters for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_registers<R: Registers>(self, registers: R) {
        match self.plan.kernel {
            KernelSide::Three => self.run::<R, 3>(registers),
            KernelSide::Five => self.run::<R, 5>(registers),
        }
    }
}

impl Weights<'_> {
    #[inline(always)]
    fn run<R: Registers, const TAPS: usize>(self, registers: R) {
        let (sources, tall, wide) =
            (self.plan.correlation.sources, self.plan.correlation.kernel[0], self.width / R::LANES);
        let (sums, out) = (R::slice(self.sums), R::slice_mut(self.out));
        let at_point = sums.len() / LONG;
        let mut from = 0;
        for block in (0..sources).step_by(LANES) {
            let planes = block..sources.min(block + LANES);
            for (y, source) in (0..tall).flat_map(|y| planes.clone().map(move |source| (y, source))) {
                for register in 0..wide {
                    let mut points = [registers.splat(0.0); LONG];
                    for (point, value) in points.iter_mut().enumerate() {
                        *value = sums[point * at_point + from + register];
                    }
                    let taps: [R::Floats; TAPS] = Outputs::apply(registers, points);
                    for (x, value) in taps.into_iter().enumerate() {
                        out[((source * tall + y) * TAPS + x) * wide + register] = value;
                    }
                }
                from += wide;
            }
        }
    }
}
