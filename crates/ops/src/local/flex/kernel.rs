//! A locally connected layer as one matrix product for each position of the output.
//!
//! A product reads the patches of its position in place from the padded input, through the tables of offsets of
//! [`product`](crate::flex::product): images are rows and taps are columns, or for the gradient of the weights the
//! reverse. The weights of a position are packed first, since they lie a position apart in memory.

use crate::threads::*;

use crate::config::{Conv2d, Padding};
use crate::flex::par_fill::filled;
use crate::flex::product::{COLUMNS, Panel, Table, panels, product};
use crate::flex::rectify::rectified;

/// Positions whose weights are packed together: a line of the cache has as many.
const TOGETHER: usize = 16;

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

    /// Elements of the padded feature maps of an image.
    fn image(&self) -> usize {
        let [height, width] = self.padded();
        self.channels * height * width
    }

    /// The index of a position's first tap in an image's padded feature maps.
    fn first(&self, position: usize) -> usize {
        let (row, column) = (position / self.sides[1], position % self.sides[1]);
        (row * self.padded()[1] + column) * self.stride
    }

    /// Offsets from a position's first tap to each tap.
    fn tap_offsets(&self) -> Vec<usize> {
        let ([height, width], side) = (self.padded(), self.kernel);
        let offset = |tap: usize| {
            let (channel, y, x) = (tap / (side * side), tap / side % side, tap % side);
            (channel * height + y) * width + x
        };
        (0..self.taps()).map(offset).collect()
    }

    fn tap_table(&self) -> Table {
        Table::new(self.tap_offsets().into_iter())
    }

    fn image_table(&self) -> Table {
        Table::new((0..self.batch).map(|image| image * self.image()))
    }

    /// Returns the feature maps with their zero padding.
    fn pad(&self, input: &[f32]) -> Vec<f32> {
        let ([height, width], [padded_height, padded_width]) = (self.input, self.padded());
        let maps = input.par_chunks((height * width).max(1));
        filled(self.batch * self.image(), padded_height * padded_width, maps, |map, out| {
            let rows = out.chunks_exact_mut(padded_width).skip(self.padding.top);
            for (row, out) in map.chunks_exact(width).zip(rows) {
                out[self.padding.left..][..width].copy_from_slice(row);
            }
        })
    }
}

/// The weights of each position for products over taps: for each panel of filters `[position][tap][filter]`.
fn pack_filters(weight: &[f32], shape: &Shape) -> Vec<(Panel, Vec<f32>)> {
    let (taps, positions) = (shape.taps(), shape.positions());
    let pack = |panel: Panel| {
        let mut packed = vec![0.0; positions * taps * panel.width];
        for tap in 0..taps {
            for start in (0..positions).step_by(TOGETHER) {
                let end = (start + TOGETHER).min(positions);
                for lane in 0..panel.count {
                    let from = &weight[((panel.first + lane) * taps + tap) * positions..];
                    for position in start..end {
                        packed[(position * taps + tap) * panel.width + lane] = from[position];
                    }
                }
            }
        }
        (panel, packed)
    };
    panels(shape.filters).collect::<Vec<_>>().into_par_iter().map(pack).collect()
}

/// The layer, with a ReLU if `relu`.
///
/// # Shapes
/// Same as [`locally_connected2d`](crate::locally_connected2d), flat.
pub(super) fn forward(input: &[f32], weight: &[f32], bias: &[f32], relu: bool, shape: &Shape) -> Vec<f32> {
    let (batch, positions, filters) = (shape.batch, shape.positions(), shape.filters);
    let (padded, packed) = (shape.pad(input), pack_filters(weight, shape));
    let (images, taps) = (shape.image_table(), shape.tap_table());
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
            product(
                &padded[shape.first(position)..],
                images.all(),
                taps.all(),
                right,
                of_panel,
                false,
                COLUMNS,
            );
            sums = rest;
        }
    });
    filled(batch * filters * positions, filters * positions, (0..batch).into_par_iter(), |image, out| {
        for (position, mut sums) in sums.chunks_exact(batch * width).enumerate() {
            for (panel, _) in &packed {
                let (of_panel, rest) = sums.split_at(batch * panel.width);
                for (lane, sum) in of_panel[image * panel.width..][..panel.count].iter().enumerate() {
                    let at = (panel.first + lane) * positions + position;
                    let sum = sum + bias[at];
                    out[at] = if relu { rectified(sum) } else { sum };
                }
                sums = rest;
            }
        }
    })
}

/// The gradient with respect to the weights.
pub(super) fn weight_gradient(gradient: &[f32], input: &[f32], shape: &Shape) -> Vec<f32> {
    let (batch, positions, filters, taps) = (shape.batch, shape.positions(), shape.filters, shape.taps());
    let padded = shape.pad(input);
    let (images, tap_table) = (shape.image_table(), shape.tap_table());
    let panels: Vec<Panel> = panels(filters).collect();
    let width: usize = panels.iter().map(|panel| panel.width).sum();
    // [position][panel][tap][filter]
    let mut sums = vec![0.0; positions * taps * width];
    if sums.is_empty() {
        return Vec::new();
    }
    sums.par_chunks_mut(taps * width).enumerate().for_each(|(position, mut sums)| {
        for panel in &panels {
            let mut lines = vec![0.0; batch * panel.width];
            for (image, line) in lines.chunks_exact_mut(panel.width).enumerate() {
                for (lane, value) in line[..panel.count].iter_mut().enumerate() {
                    *value = gradient[(image * filters + panel.first + lane) * positions + position];
                }
            }
            let (of_panel, rest) = sums.split_at_mut(taps * panel.width);
            let patches = padded.get(shape.first(position)..).unwrap_or_default();
            product(patches, tap_table.all(), images.all(), (&lines, panel.width), of_panel, false, COLUMNS);
            sums = rest;
        }
    });
    filled(filters * taps * positions, taps * positions, (0..filters).into_par_iter(), |filter, out| {
        let mut start = 0;
        for panel in panels.iter().filter(|panel| panel.first <= filter) {
            if filter < panel.first + panel.count {
                let from = start + filter - panel.first;
                for (position, sums) in sums.chunks_exact(taps * width).enumerate() {
                    for tap in 0..taps {
                        out[tap * positions + position] = sums[from + tap * panel.width];
                    }
                }
            }
            start += taps * panel.width;
        }
    })
}

/// The gradient with respect to the input.
pub(super) fn input_gradient(gradient: &[f32], weight: &[f32], shape: &Shape) -> Vec<f32> {
    let (batch, positions, filters, taps) = (shape.batch, shape.positions(), shape.filters, shape.taps());
    let ([height, width], [_, padded_width]) = (shape.input, shape.padded());
    let size = shape.channels * height * width;
    if batch * size == 0 {
        return Vec::new();
    }
    // For each panel of taps `[position][filter][tap]`.
    let pack = |panel: Panel| {
        let mut packed = vec![0.0; positions * filters * panel.width];
        for filter in 0..filters {
            for lane in 0..panel.count {
                let from = &weight[(filter * taps + panel.first + lane) * positions..][..positions];
                for (position, value) in from.iter().enumerate() {
                    packed[(position * filters + filter) * panel.width + lane] = *value;
                }
            }
        }
        (panel, packed)
    };
    let packed: Vec<(Panel, Vec<f32>)> = panels(taps).collect::<Vec<_>>().into_par_iter().map(pack).collect();
    let tap_offsets = shape.tap_offsets();
    let rows = Table::new((0..IMAGES.min(batch)).map(|image| image * filters * positions));
    let columns = Table::new((0..filters).map(|filter| filter * positions));
    let parts = gradient.par_chunks(IMAGES * filters * positions);
    filled(batch * size, IMAGES * size, parts, |gradient, out| {
        let images = out.len() / size;
        let mut padded = vec![0.0; images * shape.image()];
        let mut sums = Vec::new();
        for position in 0..positions {
            let first = shape.first(position);
            for (panel, packed) in &packed {
                sums.resize(images * panel.width, 0.0);
                let lines = &packed[position * filters * panel.width..][..filters * panel.width];
                let right = (lines, panel.width);
                let of_images = rows.first(images);
                product(&gradient[position..], of_images, columns.all(), right, &mut sums, false, COLUMNS);
                for (image, sums) in sums.chunks_exact(panel.width).enumerate() {
                    let padded = &mut padded[image * shape.image() + first..];
                    for (offset, sum) in tap_offsets[panel.first..][..panel.count].iter().zip(sums) {
                        padded[*offset] += sum;
                    }
                }
            }
        }
        let maps = padded.chunks_exact(shape.padded()[0] * padded_width);
        for (padded, out) in maps.zip(out.chunks_exact_mut(height * width)) {
            let rows = padded.chunks_exact(padded_width).skip(shape.padding.top);
            for (row, out) in rows.zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(&row[shape.padding.left..][..width]);
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
