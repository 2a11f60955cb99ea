//! The shape of a convolution.

use crate::config::{Conv2d, ConvMethod, Padding};

/// The shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Input channels of all groups.
    pub(super) channels: usize,
    /// `[height, width]` of the input feature maps.
    pub(super) input: [usize; 2],
    /// Output channels of all groups.
    pub(super) filters: usize,
    /// `[height, width]` of the kernel.
    pub(super) kernel: [usize; 2],
    /// `[height, width]` of the output feature maps.
    pub(super) output: [usize; 2],
    pub(super) stride: usize,
    pub(super) padding: Padding,
    pub(super) groups: usize,
    pub(super) method: ConvMethod,
}

impl Geometry {
    /// Returns `None` if the kernel does not fit into the padded feature maps.
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
            method: ConvMethod::default(),
        })
    }

    /// The number of taps of a kernel: the inputs of one output pixel.
    pub(super) fn taps(&self) -> usize {
        self.channels / self.groups * self.kernel[0] * self.kernel[1]
    }
}

impl Conv2d {
    /// The geometry for these shapes of the feature maps and the weights.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub(super) fn geometry(self, feature_maps: [usize; 4], weight: [usize; 4]) -> Geometry {
        assert_eq!(feature_maps[1], weight[1] * self.groups, "the maps' channels are not the kernels'");
        assert_eq!(weight[0] % self.groups, 0, "the filters are not cut evenly");
        let shape = Geometry::new(feature_maps, weight, self.stride, self.padding, self.groups);
        Geometry { method: self.method, ..shape.expect("the kernel fits into the maps") }
    }
}
