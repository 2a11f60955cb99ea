use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Rows or columns of zeros added to a feature map on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same padding on all four sides.
    pub fn same(side: usize) -> Self {
        Self { top: side, left: side, bottom: side, right: side }
    }

    pub(crate) fn pairs(self) -> [(usize, usize); 2] {
        [(self.top, self.bottom), (self.left, self.right)]
    }
}

/// What a convolution does beyond its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// Step between kernel positions.
    pub stride: usize,
    /// Zeros around the maps.
    pub padding: Padding,
    /// Into how many groups channels are cut; each group's filters see its own channels alone.
    pub groups: usize,
    /// Whether the ReLU follows, in the sweep that adds the bias.
    pub relu: bool,
}

/// Two-dimensional convolution (cross-correlation, as in every deep-learning library) with bias.
///
/// # Shapes
/// - `maps`: `[batch, channels_in, height, width]`
/// - `weight`: `[channels_out, channels_in / groups, kernel, kernel]`
/// - `bias`: `[channels_out]`
/// - output: `[batch, channels_out, (height + top + bottom − kernel) / stride + 1, …]`, rounded down
///
/// # Panics
/// If the shapes do not agree.
pub fn conv2d(maps: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, how: Conv2d) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if crate::flex::takes(&maps) {
        return crate::flex::conv2d(maps, weight, bias, how);
    }
    crate::composed::conv2d(maps, weight, bias, how)
}
