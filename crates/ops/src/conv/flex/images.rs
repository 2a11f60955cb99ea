//! The feature maps that a kernel reads, as they are stored or computed image by image.

use std::ops::Range;

use crate::flex::scratch::scratch;
use crate::pool::flex::max::Scatter;

/// Feature maps of a batch, or the data to compute them from, image by image.
#[derive(Clone, Copy)]
pub(super) enum Images<'a> {
    /// `[batch, channels, height, width]`.
    Whole(&'a [f32]),
    /// The gradient before a max pooling, from the gradient of the maxima and their positions.
    Pooled { gradient: &'a [f32], argmax: &'a [u8], scatter: &'a Scatter },
}

impl Images<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Whole(feature_maps) => feature_maps.is_empty(),
            Self::Pooled { gradient, .. } => gradient.is_empty(),
        }
    }

    /// Calls `work` with the feature maps of some images of a batch of `batch`; each image has `size`
    /// elements.
    pub(super) fn with<T>(
        &self,
        images: Range<usize>,
        [batch, size]: [usize; 2],
        work: impl FnOnce(&[f32]) -> T,
    ) -> T {
        match *self {
            Self::Whole(feature_maps) => work(&feature_maps[images.start * size..images.end * size]),
            Self::Pooled { gradient, argmax, scatter } => scratch(images.len() * size, |feature_maps| {
                let pooled = gradient.len() / batch;
                let pooled = images.start * pooled..images.end * pooled;
                feature_maps.fill(0.0);
                scatter.planes(&gradient[pooled.clone()], &argmax[pooled], feature_maps);
                work(feature_maps)
            }),
        }
    }
}
