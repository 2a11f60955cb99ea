//! What the operations are told beyond their tensors.

use serde::{Deserialize, Serialize};

use crate::DropoutMask;

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

/// What happens to a last window that hangs over the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// It is dropped, as in PyTorch.
    Floor,
    /// It is kept and clipped, as in cuda-convnet and Caffe.
    Ceil,
}

/// A pooling window; overlapping when `stride < size` (Krizhevsky et al. 2012, §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Side of the square window, in pixels.
    pub size: usize,
    /// Step between windows, in pixels.
    pub stride: usize,
    /// Rows and columns added on each side; never the maximum, never counted in an average.
    pub padding: usize,
    /// What happens at the far edge.
    pub rounding: Rounding,
}

impl Pool {
    /// Side of the output for an input of side `input`, or `None` if no window fits.
    pub fn output_side(&self, input: usize) -> Option<usize> {
        let span = (input + 2 * self.padding).checked_sub(self.size)?;
        Some(match self.rounding {
            Rounding::Floor => span / self.stride + 1,
            Rounding::Ceil => {
                let windows = span.div_ceil(self.stride) + 1;
                // A window that would start in the far padding has nothing to look at.
                windows - usize::from((windows - 1) * self.stride >= input + self.padding)
            }
        })
    }

    pub(crate) fn ceil(&self) -> bool {
        self.rounding == Rounding::Ceil
    }
}

/// What `alpha` multiplies. The two differ by a factor of `size`, and both are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlphaConvention {
    /// The sum of squares over the window: the formula of Krizhevsky et al. 2012, §3.3.
    Sum,
    /// Their mean, the sum divided by `size`: Caffe, PyTorch, and the authors' own code.
    Mean,
}

/// The constants of a local response normalization (Krizhevsky et al. 2012, §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lrn {
    /// `n`, the number of adjacent channels in a window.
    pub size: usize,
    /// `alpha`, in the convention that `convention` names. Zero leaves only the gain `k^-beta`.
    pub alpha: f64,
    /// `beta`, the exponent.
    pub beta: f64,
    /// `k`, added to the scaled sum.
    pub k: f64,
    /// What `alpha` multiplies.
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

    /// The same where the window is a square of pixels.
    pub(crate) fn spatial_coefficient(&self) -> f64 {
        match self.convention {
            AlphaConvention::Sum => self.alpha,
            AlphaConvention::Mean => self.alpha / (self.size * self.size) as f64,
        }
    }
}

/// What is done to a fully connected layer's sums, in the sweep that adds the bias.
#[derive(Debug, Clone)]
pub enum Finish {
    /// Nothing.
    Plain,
    /// The ReLU.
    Relu,
    /// The ReLU, then dropout.
    ReluDropout(DropoutMask),
}

impl Finish {
    /// By what an output that is kept is multiplied.
    #[cfg(feature = "flex")]
    pub(crate) fn gain(&self) -> f32 {
        match self {
            Finish::Plain | Finish::Relu => 1.0,
            Finish::ReluDropout(mask) => mask.gain(),
        }
    }
}

/// The constants of one [`sgd_step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// ε.
    pub learning_rate: f64,
    /// The momentum.
    pub momentum: f64,
    /// The weight decay.
    pub weight_decay: f64,
}
