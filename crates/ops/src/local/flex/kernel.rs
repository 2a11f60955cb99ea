//! A locally connected layer as one matrix product for each position of the output.
//!
//! A product reads the patches of its position in place from the padded input, through the tables of offsets of
//! [`product`](crate::flex::product): images are rows and taps are columns, or for the gradient of the weights the
//! reverse. The padded input has the channels of a pixel side by side, so that a patch is a few runs of memory. The
//! weights of a position are packed first, since they lie a position apart in memory.

use crate::threads::*;

use crate::config::{Conv2d, Padding};
use crate::flex::par_fill::filled;
use crate::flex::product::{COLUMNS, Panel, Table, panels, product};
use crate::flex::rectify::rectified;
use crate::flex::scratch::scratch;
use crate::flex::transpose::{to_lines, to_planes};

/// Positions or filters whose values are copied together: a block of the copies.
const TOGETHER: usize = 4;

/// Images of a task of the input gradient.
const IMAGES: usize = 32;

/// The shape of a locally connected layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    batch: usize,
    channels: usize,
    input: [usize; 2],
    filters: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    /// `[rows, columns]`.
    sides: [usize; 2],
}

impl Shape {
    /// The shape for feature maps `[batch, channels, height, width]` and weights `[filters, channels, kernel²,
    /// positions]`.
    ///
    /// # Panics
    /// If the shapes do not agree, or there are groups.
    pub(super) fn new(
        [batch, channels, height, width]: [usize; 4],
        weight: [usize; 4],
        kernel: usize,
        options: Conv2d,
    ) -> Self {
        assert_eq!(options.groups, 1, "a locally connected layer has no groups");
        let Conv2d { stride, padding, .. } = options;
        let rows = (height + padding.top + padding.bottom - kernel) / stride + 1;
        let columns = (width + padding.left + padding.right - kernel) / stride + 1;
        let expected = [weight[0], channels, kernel * kernel, rows * columns];
        assert_eq!(weight, expected, "the weights are not those of the feature maps");
        let (filters, input, sides) = (weight[0], [height, width], [rows, columns]);
        Self { batch, channels, input, filters, kernel, stride, padding, sides }
    }

    /// `[batch, filters, rows, columns]`.
    pub(super) fn output(&self) -> [usize; 4] {
        [self.batch, self.filters, self.sides[0], self.sides[1]]
    }

    fn positions(&self) -> usize {
        self.sides[0] * self.sides[1]
    }

    fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// `[height, width]` of a padded feature map.
    fn padded(&self) -> [usize; 2] {
        let Padding { top, bottom, left, right } = self.padding;
        [self.input[0] + top + bottom, self.input[1] + left + right]
    }

    /// Floats from an image's padded pixels to the next one's. The odd number of cache lines keeps images apart: with a
    /// power of two between them they would evict each other.
    fn image(&self) -> usize {
        let [height, width] = self.padded();
        ((self.channels * height * width).div_ceil(16) | 1) * 16
    }

    /// The index of a position's first tap in an image's padded pixels.
    fn first(&self, position: usize) -> usize {
        let (row, column) = (position / self.sides[1], position % self.sides[1]);
        (row * self.padded()[1] + column) * self.stride * self.channels
    }

    /// The offset from a position's first tap to the first channel of a place of the kernel.
    fn place(&self, place: usize) -> usize {
        (place / self.kernel * self.padded()[1] + place % self.kernel) * self.channels
    }

    /// The offset from a position's first tap to each tap, in the order of the weights: channels, then places. A sum over
    /// taps has this order, which its bits depend on.
    fn taps_by_channel(&self) -> Table {
        let places = self.kernel * self.kernel;
        Table::new((0..self.taps()).map(|tap| self.place(tap % places) + tap / places))
    }

    /// The same in the order of memory: places, then channels.
    fn taps_by_place(&self) -> Table {
        Table::new((0..self.taps()).map(|tap| self.place(tap / self.channels) + tap % self.channels))
    }

    fn image_table(&self) -> Table {
        Table::new((0..self.batch).map(|image| image * self.image()))
    }

    /// Returns the feature maps with their zero padding: `[image][row][column][channel]`, with
    /// [`image`](Self::image) floats for an image.
    fn pad(&self, input: &[f32]) -> Vec<f32> {
        let ([height, width], [_, padded_width]) = (self.input, self.padded());
        let (size, Padding { top, left, .. }) = (height * width, self.padding);
        let images = input.par_chunks((self.channels * size).max(1));
        filled(self.batch * self.image(), self.image(), images, |maps, out| {
            for row in 0..height {
                let out = &mut out[((top + row) * padded_width + left) * self.channels..];
                to_lines(&maps[row * width..], [self.channels, size], out, [width, self.channels]);
            }
        })
    }
}

/// The weights of each position for products over taps: for each panel of filters `[position][tap][filter]`.
fn pack_filters(weight: &[f32], shape: &Shape) -> Vec<(Panel, Vec<f32>)> {
    let (taps, positions) = (shape.taps(), shape.positions());
    let pack = |panel: Panel| {
        let size = taps * panel.width;
        let mut packed = vec![0.0; positions * size];
        packed.par_chunks_mut(TOGETHER * size).enumerate().for_each(|(at, packed)| {
            for tap in 0..taps {
                let from = &weight[(panel.first * taps + tap) * positions + at * TOGETHER..];
                let lines = [packed.len() / size, size];
                to_lines(from, [panel.count, taps * positions], &mut packed[tap * panel.width..], lines);
            }
        });
        (panel, packed)
    };
    panels(shape.filters).map(pack).collect()
}

/// The layer, with a ReLU if `relu`.
///
/// # Shapes
/// Same as [`locally_connected2d`](crate::locally_connected2d), flat.
pub(super) fn forward(input: &[f32], weight: &[f32], bias: &[f32], relu: bool, shape: &Shape) -> Vec<f32> {
    let (batch, positions, filters) = (shape.batch, shape.positions(), shape.filters);
    let (padded, packed) = (shape.pad(input), pack_filters(weight, shape));
    let (images, taps) = (shape.image_table(), shape.taps_by_channel());
    let width: usize = packed.iter().map(|(panel, _)| panel.width).sum();
    // [position][panel][image][filter]
    let mut sums = vec![0.0; positions * batch * width];
    if sums.is_empty() {
        return Vec::new();
    }
    sums.par_chunks_mut(batch * width).enumerate().for_each(|(position, mut sums)| {
        for (panel, packed) in &packed {
            let (of_panel, rest) = sums.split_at_mut(batch * panel.width);
            let size = shape.taps() * panel.width;
            let right = (&packed[position * size..][..size], panel.width);
            let patches = &padded[shape.first(position)..];
            product(patches, images.all(), taps.all(), right, of_panel, false, COLUMNS);
            sums = rest;
        }
    });
    filled(batch * filters * positions, filters * positions, (0..batch).into_par_iter(), |image, out| {
        for (panel, _) in &packed {
            // All panels before this one are full.
            let lines = &sums[panel.first * batch + image * panel.width..];
            let maps = &mut out[panel.first * positions..];
            to_planes(lines, [positions, batch * width], maps, [panel.count, positions], |_| |sum| sum);
        }
        for (out, bias) in out.iter_mut().zip(bias) {
            let sum = *out + bias;
            *out = if relu { rectified(sum) } else { sum };
        }
    })
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(gradient: &[f32], input: &[f32], shape: &Shape) -> Vec<f32> {
    let (batch, positions, filters, taps) = (shape.batch, shape.positions(), shape.filters, shape.taps());
    if batch * positions == 0 {
        return vec![0.0; filters * taps * positions];
    }
    let padded = shape.pad(input);
    let (images, tap_table) = (shape.image_table(), shape.taps_by_place());
    let panels: Vec<Panel> = panels(filters).collect();
    let width: usize = panels.iter().map(|panel| panel.width).sum();
    // [position][panel][tap][filter]
    let mut sums = vec![0.0; positions * taps * width];
    sums.par_chunks_mut(TOGETHER * taps * width).enumerate().for_each(|(at, sums)| {
        for &Panel { first, count, width: lanes } in &panels {
            // [position][image][filter]
            let size = batch * lanes;
            scratch(TOGETHER * size, |lines| {
                if count < lanes {
                    lines.fill(0.0);
                }
                let together = sums.len() / (taps * width);
                for image in 0..batch {
                    let from = &gradient[(image * filters + first) * positions + at * TOGETHER..];
                    to_lines(from, [count, positions], &mut lines[image * lanes..], [together, size]);
                }
                let lines = lines.par_chunks(size);
                sums.par_chunks_exact_mut(taps * width).zip(lines).enumerate().for_each(
                    |(position, (sums, lines))| {
                        let sums = &mut sums[first * taps..][..lanes * taps];
                        let patches = &padded[shape.first(at * TOGETHER + position)..];
                        product(patches, tap_table.all(), images.all(), (lines, lanes), sums, false, COLUMNS);
                    },
                );
            });
        }
    });
    let (size, places) = (taps * positions, shape.kernel * shape.kernel);
    let mut weights = vec![0.0; filters * size];
    let (mut rest, mut blocks) = (weights.as_mut_slice(), Vec::new());
    for panel in &panels {
        let of_panel;
        (of_panel, rest) = std::mem::take(&mut rest).split_at_mut(panel.count * size);
        blocks
            .extend(of_panel.chunks_mut(TOGETHER * size).enumerate().map(|(block, out)| (panel, block, out)));
    }
    blocks.into_par_iter().for_each(|(panel, block, out)| {
        let lanes = panel.first * taps + block * TOGETHER;
        for tap in 0..taps {
            let weight = tap % shape.channels * places + tap / shape.channels;
            let (lines, planes) = (&sums[lanes + tap * panel.width..], &mut out[weight * positions..]);
            // The filters of this block whose planes lie behind this one.
            let count = planes.len().div_ceil(size);
            to_planes(lines, [positions, taps * width], planes, [count, size], |_| |sum| sum);
        }
    });
    weights
}

/// Adjacent lanes of a panel of taps by place, whose channels are adjacent.
struct Run {
    lane: usize,
    count: usize,
    place: usize,
    channel: usize,
}

/// The runs of a panel of taps by place.
fn runs(panel: &Panel, channels: usize) -> Vec<Run> {
    let (mut lane, mut runs) = (0, Vec::new());
    while lane < panel.count {
        let (place, channel) = ((panel.first + lane) / channels, (panel.first + lane) % channels);
        let count = (channels - channel).min(panel.count - lane);
        runs.push(Run { lane, count, place, channel });
        lane += count;
    }
    runs
}

/// The weights of each position for products over filters, by taps: `[position][filter][tap]`.
struct PackedTaps {
    width: usize,
    runs: Vec<Run>,
    values: Vec<f32>,
}

fn pack_taps(weight: &[f32], shape: &Shape) -> Vec<PackedTaps> {
    let (positions, filters, places) = (shape.positions(), shape.filters, shape.kernel * shape.kernel);
    let pack = |panel: Panel| {
        let (runs, size) = (runs(&panel, shape.channels), filters * panel.width);
        let mut values = vec![0.0; positions * size];
        for filter in 0..filters {
            for Run { lane, count, place, channel } in &runs {
                let from = &weight[(filter * shape.taps() + channel * places + place) * positions..];
                let lines = &mut values[filter * panel.width + lane..];
                to_lines(from, [*count, places * positions], lines, [positions, size]);
            }
        }
        PackedTaps { width: panel.width, runs, values }
    };
    panels(shape.taps()).collect::<Vec<_>>().into_par_iter().map(pack).collect()
}

/// The gradient with respect to the input.
pub(super) fn input_gradient(gradient: &[f32], weight: &[f32], shape: &Shape) -> Vec<f32> {
    let (batch, positions, filters) = (shape.batch, shape.positions(), shape.filters);
    let ([height, width], [_, padded_width]) = (shape.input, shape.padded());
    let (channels, Padding { top, left, .. }) = (shape.channels, shape.padding);
    let size = channels * height * width;
    if batch * size == 0 {
        return Vec::new();
    }
    let packed = pack_taps(weight, shape);
    let rows = Table::new((0..IMAGES.min(batch)).map(|image| image * filters));
    let columns = Table::new(0..filters);
    let parts = gradient.par_chunks(IMAGES * filters * positions);
    filled(batch * size, IMAGES * size, parts, |gradient, out| {
        let images = out.len() / size;
        let mut padded = vec![0.0; images * shape.image()];
        // [position][image][filter]
        let mut lines = vec![0.0; positions * images * filters];
        for (image, gradient) in gradient.chunks_exact(filters * positions).enumerate() {
            let lines = &mut lines[image * filters..];
            to_lines(gradient, [filters, positions], lines, [positions, images * filters]);
        }
        let mut sums = Vec::new();
        for (position, lines) in lines.chunks_exact(images * filters).enumerate() {
            for PackedTaps { width, runs, values } in &packed {
                sums.resize(images * width, 0.0);
                let right = (&values[position * filters * width..][..filters * width], *width);
                product(lines, rows.first(images), columns.all(), right, &mut sums, false, COLUMNS);
                for Run { lane, count, place, channel } in runs {
                    let first = shape.first(position) + shape.place(*place) + channel;
                    for (image, sums) in sums.chunks_exact(*width).enumerate() {
                        let padded = &mut padded[image * shape.image() + first..][..*count];
                        padded.iter_mut().zip(&sums[*lane..]).for_each(|(pixel, sum)| *pixel += sum);
                    }
                }
            }
        }
        for (padded, out) in padded.chunks_exact(shape.image()).zip(out.chunks_exact_mut(size)) {
            for row in 0..height {
                let from = &padded[((top + row) * padded_width + left) * channels..];
                let maps = &mut out[row * width..];
                to_planes(from, [width, channels], maps, [channels, height * width], |_| |sum| sum);
            }
        }
    })
}

/// The gradient with respect to the bias: the sum over the batch.
pub(super) fn bias_gradient(gradient: &[f32], size: usize) -> Vec<f32> {
    let mut sum = vec![0.0; size];
    for image in gradient.chunks_exact(size.max(1)) {
        sum.iter_mut().zip(image).for_each(|(sum, value)| *sum += value);
    }
    sum
}
