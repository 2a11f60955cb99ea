//! A picture of the first layer's kernels.

use alexnet_analysis::kernels::{self, Range};
use alexnet_data::rgb_png;
use alexnet_model::AlexNet;

use super::messages::Image;
use crate::first_kernels::first_kernels;

/// Returns the first layer's name and a picture of its kernels by tower, if the layer has kernels.
pub(super) fn picture(model: &AlexNet) -> Option<(String, Image)> {
    let towers = first_kernels(model)?;
    let first = &model.network().conv[0];
    let picture = kernels::picture(&towers, Range::Global, (64 / first.kernel).max(1));
    let png = rgb_png(picture.width, picture.height, &picture.pixels).ok()?;
    let (height, width) = (picture.height as i32, picture.width as i32);
    Some((format!("kernels/{}", first.name), Image { height, width, colorspace: 3, png }))
}
