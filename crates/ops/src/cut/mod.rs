//! Inputs that are cut from images which wait on the device.

pub(crate) mod composed;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(not(feature = "gpu"))]
use self::composed as cube;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::backend::is_gpu;
use crate::config::ImageCut;

/// Images on a device, a byte for each value, and the mean that is subtracted from what is cut from them.
#[derive(Debug, Clone)]
pub struct DeviceImages {
    /// The values in order. On GPUs a number has four of them, since not all have bytes.
    levels: Tensor<1, Int>,
    /// `[images, channels, height, width]`.
    shape: [usize; 4],
    /// `[channels, side, side]`.
    mean: Tensor<3>,
}

impl DeviceImages {
    /// Sends images and the mean of inputs to a device.
    ///
    /// # Shapes
    /// - `bytes`: `[images, channels, height, width]`, given as `shape`
    /// - `mean`: `[channels, side, side]`
    ///
    /// # Panics
    /// If there are not as many bytes or means as the shapes say, more than three channels, or more than 4 GiB.
    pub fn new(mut bytes: Vec<u8>, shape: [usize; 4], mean: Vec<f32>, side: usize, device: &Device) -> Self {
        let device = &device.clone().inner();
        assert_eq!(bytes.len(), shape.iter().product::<usize>(), "the images are not those of the shape");
        assert!(shape[1] <= 3, "colours have at most three channels");
        // Kernels count in 32 bits.
        assert!(bytes.len() as u64 <= 1 << 32, "images of more than 4 GiB");
        let levels = if is_gpu(device) {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            let words: Vec<u32> = bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes).collect();
            let count = words.len();
            Tensor::from_data(TensorData::new(words, [count]), (device, DType::U32))
        } else {
            let count = bytes.len();
            Tensor::from_data(TensorData::new(bytes, [count]), (device, DType::U8))
        };
        let mean = Tensor::from_data(TensorData::new(mean, [shape[1], side, side]), device);
        Self { levels, shape, mean }
    }

    /// Cuts inputs from the images: `((pixel − mean) + shift) · gain`, with the mean for pixels that are not in the image.
    ///
    /// # Shapes
    /// - output: `[cuts, channels, side, side]`
    ///
    /// # Panics
    /// If there is no such image.
    pub fn cut(&self, cuts: &[ImageCut]) -> Tensor<4> {
        assert!(cuts.iter().all(|cut| cut.image < self.shape[0]), "a cut of an image that is not there");
        let (levels, [_, channels, height, width], mean) =
            (self.levels.clone(), self.shape, self.mean.clone());
        if is_gpu(&mean.device()) && !cuts.is_empty() {
            cube::cut(levels, [channels, height, width], mean, cuts)
        } else {
            composed::cut(levels, [channels, height, width], mean, cuts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{devices, numbers, values};

    const SHAPE: [usize; 4] = [3, 2, 5, 7];
    const SIDE: usize = 4;

    fn bytes() -> Vec<u8> {
        (0..SHAPE.iter().product::<usize>()).map(|at| (at * 89 % 256) as u8).collect()
    }

    fn mean() -> Vec<f32> {
        numbers(SHAPE[1] * SIDE * SIDE, 3).iter().map(|value| 128.0 + 50.0 * value).collect()
    }

    /// The definition, value by value.
    fn expected(cuts: &[ImageCut]) -> Vec<f32> {
        let [_, channels, height, width] = SHAPE;
        let (bytes, mean) = (bytes(), mean());
        let mut inputs = Vec::new();
        for cut in cuts {
            for channel in 0..channels {
                for (y, x) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x))) {
                    let x = if cut.mirrored { SIDE - 1 - x } else { x };
                    let (row, column) = (cut.top + y as isize, cut.left + x as isize);
                    let inside = (0..height as isize).contains(&row) && (0..width as isize).contains(&column);
                    let centred = if inside {
                        let place = (cut.image * channels + channel) * height + row as usize;
                        f32::from(bytes[place * width + column as usize])
                            - mean[(channel * SIDE + y) * SIDE + x]
                    } else {
                        0.0
                    };
                    inputs.push((centred + cut.shift[channel]) * cut.gain[channel]);
                }
            }
        }
        inputs
    }

    #[test]
    fn inputs_are_cut_mirrored_and_coloured_on_every_device() {
        let cut = |image, top, left, mirrored| {
            let shift = [image as f32 - 0.7, 3.3, 0.0];
            ImageCut { image, top, left, mirrored, shift, gain: [1.1, 1.0 / 58.0, 1.0] }
        };
        let cuts = [
            cut(0, 0, 0, false),
            cut(2, 1, 3, true),
            cut(1, -2, 5, false),
            cut(1, 4, -3, true),
            cut(2, 9, 0, false),
        ];
        for device in devices() {
            let images = DeviceImages::new(bytes(), SHAPE, mean(), SIDE, &device);
            let inputs = images.cut(&cuts);
            assert_eq!(inputs.dims(), [5, 2, SIDE, SIDE]);
            let found = values(inputs);
            if is_gpu(&device) {
                // A GPU may add and multiply in one step.
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 4.0 * f32::EPSILON * b.abs().max(1.0);
                assert!(found.iter().zip(&expected(&cuts)).all(close), "{device:?}");
            } else {
                assert_eq!(found, expected(&cuts), "{device:?}");
            }
            assert_eq!(images.cut(&[]).dims(), [0, 2, SIDE, SIDE]);
        }
    }
}
