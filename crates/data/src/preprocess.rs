//! One photograph to a network's input, for weights that come with a way of preparing images.

use serde::Serialize;

use crate::Views;
use crate::decode::{half_even, pixels, scaled, scaled_sides};

/// The longer side of a scaled image, at most: one line of pixels would be scaled to gigabytes.
const LONGEST: usize = 1 << 14;

/// How an image becomes a network's input: it travels with the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Preprocessing {
    /// The shorter side is scaled to so many pixels, antialiased and bilinear.
    pub resize: usize,
    /// Side of the square that is cut out.
    pub crop: usize,
    /// Multiplies pixels of 0–255.
    pub scale: f32,
    /// Taken off each channel (red, green, blue) after that.
    pub mean: [f32; 3],
    /// Divides each channel then.
    pub std: [f32; 3],
}

impl Preprocessing {
    /// Of torchvision's ImageNet weights (`torchvision.transforms._presets.ImageClassification`).
    pub const TORCHVISION: Self = Self {
        resize: 256,
        crop: 224,
        scale: 1.0 / 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };

    /// As the paper (§2) for an input of `crop` pixels: 0–255, less the training mean, here that of each
    /// channel of ImageNet as cuda-convnet2's `input_meta` has it.
    pub fn paper(crop: usize) -> Self {
        let mean = [127.30, 119.72, 104.91];
        // 224 or 227 out of 256 (§2); smaller inputs in the same proportion.
        Self { resize: (crop * 256).div_ceil(224).max(crop), crop, scale: 1.0, mean, std: [1.0; 3] }
    }

    /// The views of a JPEG or PNG, each `[3, crop, crop]`.
    ///
    /// # Errors
    /// If the image is broken; the message is for people.
    pub fn views(&self, image: &[u8], views: Views) -> Result<Vec<f32>, String> {
        let pixels = pixels(image, 3)?;
        let (width, height) = (pixels.width, pixels.height);
        let [wide, tall] = scaled_sides(width, height, self.resize);
        if wide.max(tall) > LONGEST {
            return Err(format!("{width} × {height} pixels, which is too far from square to be scaled"));
        }
        let pixels = scaled(&pixels, [wide, tall], [0, 0], [wide, tall])?.bytes;
        let middle = |side: usize| half_even(side - self.crop);
        let (top, left) = (middle(tall), middle(wide));
        let mut out = Vec::with_capacity(views.count() * 3 * self.crop * self.crop);
        match views {
            Views::Centre => self.cut(&pixels, wide, [top, left], false, &mut out),
            Views::Ten => {
                // The corners of the central square, as in the paper.
                let (square, room) = (self.resize, self.resize - self.crop);
                let corner = [half_even(tall - square), half_even(wide - square)];
                let offsets = [[0, 0], [0, room], [room, 0], [room, room]];
                let corners = offsets.map(|[y, x]| [corner[0] + y, corner[1] + x]);
                for at in corners.into_iter().chain([[top, left]]) {
                    for flip in [false, true] {
                        self.cut(&pixels, wide, at, flip, &mut out);
                    }
                }
            }
        }
        Ok(out)
    }

    fn cut(&self, pixels: &[u8], width: usize, [top, left]: [usize; 2], flip: bool, out: &mut Vec<f32>) {
        for channel in 0..3 {
            for row in 0..self.crop {
                for column in 0..self.crop {
                    let column = if flip { self.crop - 1 - column } else { column };
                    let pixel = pixels[((top + row) * width + left + column) * 3 + channel];
                    let value = f32::from(pixel) * self.scale - self.mean[channel];
                    out.push(value / self.std[channel]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::encode_png;

    #[test]
    fn a_line_of_pixels_is_refused() {
        let image = encode_png(&vec![9; 3 * 4000], 4000, 1, png::ColorType::Rgb);
        let error = Preprocessing::TORCHVISION.views(&image, Views::Centre).unwrap_err();
        assert!(error.contains("4000 × 1 pixels"), "{error}");
    }

    #[test]
    fn the_centre_is_cut_out_and_ten_views_are_corners_and_mirrors() {
        // 8×6 pixels whose red is the column and green the row; nothing is scaled.
        let pixels: Vec<u8> = (0..48).flat_map(|at| [at % 8, at / 8, 200]).collect();
        let image = encode_png(&pixels, 8, 6, png::ColorType::Rgb);
        let how =
            Preprocessing { resize: 6, crop: 2, scale: 1.0, mean: [0.0, 0.0, 200.0], std: [1.0, 0.5, 1.0] };
        let centre = how.views(&image, Views::Centre).unwrap();
        // Rows 2 and 3, columns 3 and 4; green divided by a half, blue less its mean.
        assert_eq!(centre, [3.0, 4.0, 3.0, 4.0, 4.0, 4.0, 6.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
        let ten = how.views(&image, Views::Ten).unwrap();
        let first_rows: Vec<[f32; 2]> = ten.chunks(12).map(|view| [view[0], view[1]]).collect();
        let mirrored = [[1.0, 2.0], [5.0, 6.0], [1.0, 2.0], [5.0, 6.0], [3.0, 4.0]];
        let expected: Vec<[f32; 2]> = mirrored.into_iter().flat_map(|[a, b]| [[a, b], [b, a]]).collect();
        assert_eq!(first_rows, expected);
    }
}
