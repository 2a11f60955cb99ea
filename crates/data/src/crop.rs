//! Turns an image into an input of the network: crop, mirroring, mean, colour and layout.

#[cfg(feature = "tensors")]
use alexnet_ops::ImageCut;
use pulp::{Arch, Simd, WithSimd};

use crate::augment::Cut;
use crate::{Mean, Pixels};

/// Cuts inputs of `side` × `side` pixels from images of `size` pixels. All images become inputs here: those of a data
/// set in its size, and photographs after they are scaled.
#[derive(Debug, Clone)]
pub(crate) struct Cutter {
    pub(crate) channels: usize,
    /// Height and width of the images.
    pub(crate) size: [usize; 2],
    pub(crate) side: usize,
    /// Pixels of the mean added around the image.
    pub(crate) padding: usize,
    pub(crate) mean: Mean,
    /// Final factor of each channel: the scale of the pixels that the network sees.
    pub(crate) scale: [f32; 3],
}

/// The part of an image axis that an input shows. The input has `before` and `after` pixels of padding around it.
#[derive(Debug, Clone, Copy)]
struct Window {
    before: usize,
    start: usize,
    end: usize,
    after: usize,
}

impl Cutter {
    /// Returns the largest offset of an input in the padded image, whose shorter side counts.
    pub(crate) fn span(&self) -> usize {
        self.size[0].min(self.size[1]) + 2 * self.padding - self.side
    }

    fn window(&self, corner: usize, size: usize) -> Window {
        let Self { side, padding, .. } = *self;
        let start = corner.saturating_sub(padding).min(size);
        let end = (corner + side).saturating_sub(padding).min(size).max(start);
        let before = padding.saturating_sub(corner).min(side);
        Window { before, start, end, after: side - before - (end - start) }
    }

    /// Appends an input, `[channels, side, side]`.
    pub(crate) fn append(&self, pixels: Pixels<'_>, cut: &Cut, scratch: &mut Vec<u8>, out: &mut Vec<f32>) {
        Arch::new().dispatch(Append { cutter: self, pixels, cut, scratch, out });
    }

    /// Returns how the device cuts an input from an image of this number.
    #[cfg(feature = "tensors")]
    pub(crate) fn image_cut(&self, image: usize, cut: &Cut) -> ImageCut {
        let from = |corner: usize| corner as isize - self.padding as isize;
        ImageCut {
            image,
            top: from(cut.top),
            left: from(cut.left),
            mirrored: cut.flip,
            shift: cut.shift,
            gain: self.scale.map(|scale| cut.scale * scale),
        }
    }

    /// Appends an input as bytes, `[channels, side, side]`: cropped, neither mirrored nor with the arithmetic.
    pub(crate) fn append_bytes(&self, pixels: Pixels<'_>, cut: &Cut, out: &mut Vec<u8>) {
        Arch::new().dispatch(AppendBytes { cutter: self, pixels, cut, out });
    }
}

struct Append<'a> {
    cutter: &'a Cutter,
    pixels: Pixels<'a>,
    cut: &'a Cut,
    scratch: &'a mut Vec<u8>,
    out: &'a mut Vec<f32>,
}

impl WithSimd for Append<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { cutter, pixels, cut, scratch, out } = self;
        let Cutter { channels, size: [height, width], side, .. } = *cutter;
        let (rows, columns) = (cutter.window(cut.top, height), cutter.window(cut.left, width));
        let shown = columns.end - columns.start;
        // The planes, the distance between planes and between rows in pixels, and the first pixel that is shown.
        let (planes, area, stride, first) = match pixels {
            Pixels::Planar(planes) => (planes, height * width, width, rows.start * width + columns.start),
            Pixels::Interleaved(pixels) if channels == 1 => {
                (pixels, height * width, width, rows.start * width + columns.start)
            }
            Pixels::Interleaved(pixels) => {
                let area = (rows.end - rows.start) * shown;
                scratch.resize(3 * area, 0);
                planes_of(pixels, width, rows, columns, scratch);
                (&scratch[..], area, shown, 0)
            }
        };
        for channel in 0..channels {
            let mean = &cutter.mean.0[channel * side * side..(channel + 1) * side * side];
            let (shift, gain) = (cut.shift[channel], cut.scale * cutter.scale[channel]);
            let padding = shift * gain;
            let (left, right) =
                if cut.flip { (columns.after, columns.before) } else { (columns.before, columns.after) };
            for y in 0..side {
                let at = out.len();
                out.resize(at + side, padding);
                if y < rows.before || y >= side - rows.after || shown == 0 {
                    continue;
                }
                let row = &planes[channel * area + first + (y - rows.before) * stride..][..shown];
                let target = &mut out[at + left..at + side - right];
                let mean = &mean[y * side + columns.before..][..shown];
                let level = |pixel: u8, mean: f32| ((f32::from(pixel) - mean) + shift) * gain;
                if cut.flip {
                    // The mean is aligned with the unmirrored input, so it is mirrored with the crop.
                    let source = row.iter().zip(mean).rev();
                    target
                        .iter_mut()
                        .zip(source)
                        .for_each(|(out, (&pixel, &mean))| *out = level(pixel, mean));
                } else {
                    let source = row.iter().zip(mean);
                    target
                        .iter_mut()
                        .zip(source)
                        .for_each(|(out, (&pixel, &mean))| *out = level(pixel, mean));
                }
            }
        }
    }
}

struct AppendBytes<'a> {
    cutter: &'a Cutter,
    pixels: Pixels<'a>,
    cut: &'a Cut,
    out: &'a mut Vec<u8>,
}

impl WithSimd for AppendBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { cutter, pixels, cut, out } = self;
        let Cutter { channels, size: [height, width], side, .. } = *cutter;
        let (rows, columns) = (cutter.window(cut.top, height), cutter.window(cut.left, width));
        let at = out.len();
        out.resize(at + channels * side * side, 0);
        let out = &mut out[at..];
        match pixels {
            Pixels::Interleaved(pixels) if channels == 3 => planes_of(pixels, width, rows, columns, out),
            Pixels::Planar(pixels) | Pixels::Interleaved(pixels) => {
                for (plane, out) in pixels.chunks_exact(height * width).zip(out.chunks_exact_mut(side * side))
                {
                    let source = plane.chunks_exact(width).skip(rows.start);
                    for (row, out) in source.zip(out.chunks_exact_mut(side)) {
                        out.copy_from_slice(&row[columns.start..columns.end]);
                    }
                }
            }
        }
    }
}

/// Splits the shown part of interleaved three-channel pixels into planes.
#[inline(always)]
fn planes_of(pixels: &[u8], width: usize, rows: Window, columns: Window, out: &mut [u8]) {
    let shown = columns.end - columns.start;
    let (red, rest) = out.split_at_mut((rows.end - rows.start) * shown);
    let (green, blue) = rest.split_at_mut((rows.end - rows.start) * shown);
    if shown == 0 {
        return;
    }
    let planes =
        red.chunks_exact_mut(shown).zip(green.chunks_exact_mut(shown)).zip(blue.chunks_exact_mut(shown));
    for (y, ((red, green), blue)) in (rows.start..rows.end).zip(planes) {
        let (row, _) = pixels[(y * width + columns.start) * 3..][..shown * 3].as_chunks::<3>();
        for (((pixel, red), green), blue) in row.iter().zip(red).zip(green).zip(blue) {
            (*red, *green, *blue) = (pixel[0], pixel[1], pixel[2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use alexnet_ops::Key;

    use super::*;
    use crate::Views;
    use crate::augment::{self, Augmentation, Colour, ColourReading, Crop};

    const AXES: [[f32; 3]; 3] = [[30.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 10.0]];

    fn cutter(side: usize, padding: usize) -> Cutter {
        let mean = Mean(vec![100.0; 3 * side * side]);
        Cutter { channels: 3, size: [6, 6], side, padding, mean, scale: [1.0; 3] }
    }

    /// Returns an image in which each pixel holds its own position.
    fn image() -> Vec<u8> {
        (0..108).collect()
    }

    fn none() -> Augmentation {
        Augmentation {
            crop: Crop { random: false, padding: 0 },
            flip: 0.0,
            colour: Colour { std: 0.0, reading: ColourReading::StandardDeviation, rescale: false },
            shared_by: 1,
            steps: Vec::new(),
        }
    }

    fn draw(cutter: &Cutter, augmentation: &Augmentation, sample: u64) -> Vec<f32> {
        let key = Key::new([0, 1, sample, 0]);
        let cut = augment::draw(augmentation, cutter.span(), &AXES, key, key);
        cut_out(cutter, &cut)
    }

    /// Returns a cut, which must be the same from planar and from interleaved pixels.
    fn cut_out(cutter: &Cutter, cut: &Cut) -> Vec<f32> {
        let planar = image();
        let interleaved: Vec<u8> = (0..108).map(|i| planar[(i % 3) * 36 + i / 3]).collect();
        let (mut out, mut other, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        cutter.append(Pixels::Planar(&planar), cut, &mut scratch, &mut out);
        cutter.append(Pixels::Interleaved(&interleaved), cut, &mut scratch, &mut other);
        assert_eq!(out, other);
        out
    }

    #[test]
    fn without_augmentation_the_centre_comes_out() {
        let out = draw(&cutter(2, 0), &none(), 0);
        assert_eq!(out[..4], [14.0 - 100.0, 15.0 - 100.0, 20.0 - 100.0, 21.0 - 100.0]);
        assert_eq!(out[4], 50.0 - 100.0);
    }

    #[test]
    fn crops_cover_every_place_evenly() {
        let augmentation = Augmentation { crop: Crop { random: true, padding: 1 }, ..none() };
        let cutter = cutter(4, 1);
        let mut counts = [0; 25];
        for sample in 0..5000 {
            let out = draw(&cutter, &augmentation, sample);
            // The offset, from a pixel that is inside the image for every crop.
            let at = out[5] as i32 + 100;
            counts[((at / 6) * 5 + at % 6) as usize] += 1;
        }
        // 200 of each are expected with a standard deviation of 14. The bounds are six deviations.
        assert!(counts.iter().all(|&count| (116..=284).contains(&count)), "{counts:?}");
    }

    #[test]
    fn padding_is_the_mean() {
        let cutter = cutter(10, 2);
        let out = draw(&cutter, &none(), 0);
        assert!(out[..20].iter().all(|&value| value == 0.0), "two rows above the image");
        assert_eq!(out[2 * 10 + 2], -100.0);
    }

    #[test]
    fn flips_mirror_half_of_the_images() {
        let augmentation = Augmentation { flip: 0.5, ..none() };
        let cutter = cutter(2, 0);
        let plain = draw(&cutter, &none(), 0);
        let mut flipped = 0;
        for sample in 0..2000 {
            let out = draw(&cutter, &augmentation, sample);
            if out == plain {
                continue;
            }
            assert_eq!([out[1], out[0], out[3], out[2]], plain[..4]);
            flipped += 1;
        }
        // 1000 are expected with a standard deviation of 22. The bounds are six deviations.
        assert!((866..=1134).contains(&flipped), "{flipped}");
    }

    #[test]
    fn colour_noise_has_the_stated_spread_and_is_one_shift_an_image() {
        let colour = Colour { std: 0.1, reading: ColourReading::StandardDeviation, rescale: true };
        let augmentation = Augmentation { colour, ..none() };
        let cutter = cutter(2, 0);
        let plain = draw(&cutter, &none(), 0);
        let mut squares = [0.0f64; 3];
        for sample in 0..4000 {
            let out = draw(&cutter, &augmentation, sample);
            for channel in 0..3 {
                let shift = out[channel * 4] * 1.1 - plain[channel * 4];
                assert!((out[channel * 4 + 3] * 1.1 - plain[channel * 4 + 3] - shift).abs() < 1e-3);
                squares[channel] += f64::from(shift).powi(2) / 4000.0;
            }
        }
        // The tolerance is 10 % of each axis. The standard error of a spread over 4000 draws is 1.1 %.
        for (square, axis) in squares.iter().zip([3.0, 2.0, 1.0]) {
            assert!((square.sqrt() / axis - 1.0).abs() < 0.07, "{squares:?}");
        }
    }

    #[test]
    fn ten_views_are_corners_centre_and_mirrors() {
        let cutter = cutter(2, 0);
        let cuts = augment::views(Views::Ten, cutter.span());
        let first: Vec<f32> = cuts.iter().map(|cut| cut_out(&cutter, cut)[0] + 100.0).collect();
        assert_eq!(first, [0.0, 1.0, 4.0, 5.0, 24.0, 25.0, 28.0, 29.0, 14.0, 15.0]);
    }

    #[test]
    fn bytes_are_the_same_places_with_nothing_taken_off() {
        let cutter = Cutter { mean: Mean(vec![0.0; 48]), ..cutter(4, 0) };
        let (planar, mut bytes) = (image(), Vec::new());
        for flip in [false, true] {
            let cut = Cut::plain(1, 2, flip);
            bytes.clear();
            cutter.append_bytes(Pixels::Planar(&planar), &cut, &mut bytes);
            let floats: Vec<f32> = bytes.iter().map(|&byte| byte.into()).collect();
            // The device mirrors them.
            assert_eq!(floats, cut_out(&cutter, &Cut { flip: false, ..cut }));
        }
    }

    #[test]
    fn the_scale_multiplies_each_channel() {
        let cutter = Cutter { scale: [1.0, 0.5, 0.25], ..cutter(2, 0) };
        let out = cut_out(&cutter, &Cut::plain(0, 0, false));
        assert_eq!((out[0], out[4], out[8]), (-100.0, -32.0, -7.0));
    }
}
