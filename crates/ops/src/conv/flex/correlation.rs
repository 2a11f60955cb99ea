//! A correlation of planes with kernels: the forward pass or a part of the input gradient.

use super::geometry::Geometry;
use crate::config::Padding;

/// `out[plane] = Σ kernels[plane][source] ⋆ source` over planes with zero padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correlation {
    pub(super) groups: usize,
    /// Source planes per group.
    pub(super) sources: usize,
    /// Output planes per group.
    pub(super) planes: usize,
    /// `[height, width]` of the source planes.
    pub(super) source: [usize; 2],
    pub(super) kernel: [usize; 2],
    /// The stride in the source between outputs.
    pub(super) stride: usize,
    /// The position in the source of the first output's first tap; negative in the zero padding.
    pub(super) first: [isize; 2],
    /// `[rows, columns]` of the outputs.
    pub(super) output: [usize; 2],
    /// `[height, width]` of the planes that contain the outputs.
    pub(super) whole: [usize; 2],
    /// The position of the first output in those planes.
    pub(super) at: [usize; 2],
    /// The step between outputs in those planes.
    pub(super) step: usize,
}

impl Correlation {
    /// Elements of an image's source planes, and of its output planes.
    pub(super) fn sizes(&self) -> [usize; 2] {
        let source = self.groups * self.sources * self.source[0] * self.source[1];
        [source, self.groups * self.planes * self.whole[0] * self.whole[1]]
    }
}

impl Geometry {
    /// Returns the correlation of the forward pass.
    pub(super) fn forward(&self) -> Correlation {
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
    pub(super) fn backward(&self, place: [usize; 2]) -> (Correlation, [usize; 2]) {
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
