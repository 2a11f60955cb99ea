//! Options of the operations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DropoutMask;

/// Rows or columns of zeros added to a feature map on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// How a convolution is computed. Both give the same result but for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConvMethod {
    /// Winograd's minimal filtering where the shapes make it pay, the direct method elsewhere. Backends other than Flex
    /// choose for themselves.
    #[default]
    Winograd,
    /// The direct method: each output is the sum of its products.
    Direct,
}

/// Options of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2d {
    /// The stride.
    pub stride: usize,
    /// Zeros around the feature maps.
    pub padding: Padding,
    /// The number of channel groups. Each group's filters read only that group's channels.
    pub groups: usize,
    /// Whether a ReLU follows, in the sweep that adds the bias.
    pub relu: bool,
    /// The method on Flex.
    pub method: ConvMethod,
}

/// The treatment of a last window that extends past the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// Drop it, as in PyTorch.
    Floor,
    /// Keep and clip it, as in cuda-convnet and Caffe.
    Ceil,
}

/// A pooling window; overlapping when `stride < size` (Krizhevsky et al. 2012, §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Side of the square window, in pixels.
    pub size: usize,
    /// Step between windows, in pixels.
    pub stride: usize,
    /// Rows and columns added on each side. They are never the maximum and never counted in an average.
    pub padding: usize,
    /// The treatment of a last window that extends past the edge.
    pub rounding: Rounding,
}

impl Pool {
    /// Returns the window that covers a whole map of this side.
    pub fn whole(side: usize) -> Self {
        Self { size: side, stride: side, padding: 0, rounding: Rounding::Floor }
    }

    /// Returns the output side for an input of side `input`, or `None` if no window fits.
    pub fn output_side(&self, input: usize) -> Option<usize> {
        let span = (input + 2 * self.padding).checked_sub(self.size)?;
        Some(match self.rounding {
            Rounding::Floor => span / self.stride + 1,
            Rounding::Ceil => {
                let windows = span.div_ceil(self.stride) + 1;
                // A window that would start in the far padding covers no pixels.
                windows - usize::from((windows - 1) * self.stride >= input + self.padding)
            }
        })
    }

    /// Returns the output sides for inputs of these sides.
    ///
    /// # Panics
    /// If no window fits. Networks are checked before they are built.
    #[cfg(any(feature = "flex", feature = "gpu"))]
    pub(crate) fn output_sides(&self, input: [usize; 2]) -> [usize; 2] {
        input.map(|side| self.output_side(side).expect("the window fits into the maps"))
    }

    /// Returns whether the positions in a window fit in a byte.
    pub(crate) fn fits_byte(&self) -> bool {
        self.size <= 16
    }

    pub(crate) fn ceil(&self) -> bool {
        self.rounding == Rounding::Ceil
    }
}

/// The quantity that `alpha` multiplies. The two conventions differ by a factor of `size`; both are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlphaConvention {
    /// The sum of squares over the window, as in the formula of Krizhevsky et al. 2012, §3.3.
    Sum,
    /// The mean of squares, the sum divided by `size`, as in Caffe, PyTorch and the authors' code.
    Mean,
}

/// The constants of a local response normalization (Krizhevsky et al. 2012, §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lrn {
    /// `n`, the number of adjacent channels in a window.
    pub size: usize,
    /// `alpha`, in the convention of `convention`. Zero leaves only the gain `k^-beta`.
    pub alpha: f64,
    /// `beta`, the exponent.
    pub beta: f64,
    /// `k`, added to the scaled sum.
    pub k: f64,
    /// The quantity that `alpha` multiplies.
    pub convention: AlphaConvention,
}

impl Lrn {
    /// The coefficient of the plain sum of squares.
    pub(crate) fn coefficient(&self) -> f64 {
        match self.convention {
            AlphaConvention::Sum => self.alpha,
            AlphaConvention::Mean => self.alpha / self.size as f64,
        }
    }

    /// The coefficient of the plain sum of squares over a square window of pixels.
    pub(crate) fn spatial_coefficient(&self) -> f64 {
        match self.convention {
            AlphaConvention::Sum => self.alpha,
            AlphaConvention::Mean => self.alpha / (self.size * self.size) as f64,
        }
    }
}

/// The steps applied to a fully connected layer's sums in the sweep that adds the bias.
#[derive(Debug, Clone)]
pub enum Finish {
    /// No further step.
    Plain,
    /// The ReLU.
    Relu,
    /// The ReLU, then dropout.
    ReluDropout(DropoutMask),
}

impl Finish {
    /// The factor that multiplies outputs that dropout keeps.
    #[cfg(feature = "flex")]
    pub(crate) fn gain(&self) -> f32 {
        match self {
            Finish::Plain | Finish::Relu => 1.0,
            Finish::ReluDropout(mask) => mask.gain(),
        }
    }
}

/// How an input is cut from an image: where, and what happens to its colours (Krizhevsky et al. 2012, §4.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageCut {
    /// The image's number.
    pub image: usize,
    /// Row of the image in the input's first row. The input has the mean where it leaves the image.
    pub top: isize,
    /// Column of the image in the first column of the input before it is mirrored.
    pub left: isize,
    /// Whether the input, with its mean, is mirrored left to right.
    pub mirrored: bool,
    /// The number added to each channel after the mean is subtracted.
    pub shift: [f32; 3],
    /// The factor of each channel after that.
    pub gain: [f32; 3],
}

/// The constants of one [`sgd_step`](crate::sgd_step).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// The learning rate, ε.
    pub learning_rate: f64,
    /// The momentum.
    pub momentum: f64,
    /// The weight decay.
    pub weight_decay: f64,
}
