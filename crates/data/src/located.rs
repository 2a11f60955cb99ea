//! Locates objects in the network's view of an image.

use crate::label::BoundingBox;
use crate::samples::Scratch;
use crate::{DataError, Preprocessing, Split, decode};

/// The positions of an image and its objects in its centre view, as fractions of the view. Values from 0 to 1 are
/// inside the view; anything beyond is not visible.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The whole image. For an image without boxes, the view.
    pub image: BoundingBox,
    /// The boxes of its objects, clipped to the image.
    pub boxes: Vec<BoundingBox>,
    /// The number of boxes left out because they have no area inside the image.
    pub empty: usize,
}

impl Split {
    /// Returns the positions of an image's objects in the centre view that `how` makes of it.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn located(&self, index: usize, preprocessing: &Preprocessing) -> Result<Located, DataError> {
        let all = self.boxes(index)?;
        if all.is_empty() {
            // The size of the image does not matter here, and would have to be read.
            return Ok(Located { image: [0.0, 0.0, 1.0, 1.0], boxes: all, empty: 0 });
        }
        let [width, height] = match self.are_files() {
            false => [self.image_shape()[1]; 2],
            true => {
                let (at, mut scratch) = (self.sample(index), Scratch::default());
                self.source.file(at, &mut scratch.file)?;
                let pixels = decode::pixels(&scratch.file, preprocessing.gain.len())
                    .map_err(|problem| DataError::file(self.source.place(at), problem))?;
                [pixels.width, pixels.height]
            }
        };
        let (scale, corner) = preprocessing.centre([width, height]);
        let ends = [width as f32, height as f32];
        let place =
            |value: f32, axis: usize| (value * scale[axis] - corner[axis]) / preprocessing.crop as f32;
        let placed = |corners: BoundingBox| -> BoundingBox {
            std::array::from_fn(|side| place(corners[side].clamp(0.0, ends[side % 2]), side % 2))
        };
        let boxes = all.iter().map(|corners| placed(*corners));
        let boxes: Vec<BoundingBox> =
            boxes.filter(|[left, top, right, bottom]| left < right && top < bottom).collect();
        Ok(Located { image: placed([0.0, 0.0, ends[0], ends[1]]), empty: all.len() - boxes.len(), boxes })
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::Resize;
    use crate::samples::{Images, LabelledImages};

    #[test]
    fn boxes_go_with_the_view_and_those_without_area_are_left_out() {
        let boxes = vec![vec![
            [2.0, 4.0, 6.0, 8.0],
            [-9.0, 4.0, 4.0, 20.0],
            [3.0, 3.0, 3.0, 9.0],
            [9.0, 0.0, 12.0, 8.0],
        ]];
        let source = LabelledImages {
            images: Images::Memory(vec![0; 64]),
            labels: vec![0],
            keys: vec!["one".to_owned()],
            boxes,
        };
        let split = Split::all(source, [1, 8]);
        // 8 pixels are scaled to 16, of which the middle 8 are kept: image pixel 2 moves to 4 − 4 = 0.
        let preprocessing =
            Preprocessing { resize: Resize::ShorterSide(16), crop: 8, mean: vec![0.0], gain: vec![1.0] };
        let located = split.located(0, &preprocessing).unwrap();
        assert_eq!(located.image, [-0.5, -0.5, 1.5, 1.5]);
        assert_eq!(located.boxes, [[0.0, 0.5, 1.0, 1.5], [-0.5, 0.5, 0.5, 1.5]]);
        assert_eq!(located.empty, 2);
    }
}
