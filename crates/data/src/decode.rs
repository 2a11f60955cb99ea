//! JPEG and PNG files to pixels.

use std::io::Cursor;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use crate::jpeg::{self, Window};
use crate::resize::scaled;

/// Pixels of an image, at most: what a header of twenty bytes claims is not believed beyond 8192 × 8192.
const PIXELS_LIMIT: usize = 1 << 26;

/// The side of an image, at most.
const SIDE_LIMIT: usize = 1 << 14;

/// Interleaved pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) bytes: Vec<u8>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
}

/// Decodes a JPEG or PNG to `[channels, size, size]`: the shorter side scaled to `size`, the centre
/// square cut out (Krizhevsky et al. 2012, §2). An image of that size is left as it is.
///
/// Grey images become three equal channels where `channels` is 3; colour becomes luma where it is 1.
pub(crate) fn planar(bytes: &[u8], channels: usize, size: usize) -> Result<Vec<u8>, String> {
    let pixels = square(pixels(bytes, channels)?, size).bytes;
    let area = size * size;
    Ok((0..channels * area).map(|i| pixels[(i % area) * channels + i / area]).collect())
}

/// The pixels of a JPEG or PNG, told apart by their first bytes, whatever the file is called. What EXIF says of the
/// camera's position is not heeded, as in torchvision; see [`orientation`].
pub(crate) fn pixels(bytes: &[u8], channels: usize) -> Result<Pixels, String> {
    pixels_in(Vec::new(), bytes, channels, Window::whole)
}

/// As [`pixels`], in a vector that has served before; `window` says which of them will be looked at.
pub(crate) fn pixels_in(
    buffer: Vec<u8>,
    bytes: &[u8],
    channels: usize,
    window: impl Fn(usize, usize) -> Window,
) -> Result<Pixels, String> {
    match bytes {
        [0xff, 0xd8, ..] => decode_jpeg(buffer, bytes, channels, window),
        [0x89, b'P', b'N', b'G', ..] => png(bytes, channels),
        [] => Err("the file is empty".into()),
        _ => Err("neither a JPEG nor a PNG file".into()),
    }
}

fn check_size(width: usize, height: usize) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("{width} × {height} pixels"));
    }
    if width > SIDE_LIMIT || height > SIDE_LIMIT || width * height > PIXELS_LIMIT {
        return Err(format!(
            "claims {width} × {height} pixels; a side of {SIDE_LIMIT} and {PIXELS_LIMIT} pixels in all are the limit"
        ));
    }
    Ok(())
}

fn decode_jpeg(
    mut buffer: Vec<u8>,
    bytes: &[u8],
    channels: usize,
    window: impl Fn(usize, usize) -> Window,
) -> Result<Pixels, String> {
    if channels == 3 {
        match jpeg::decode(buffer, bytes, PIXELS_LIMIT, window) {
            Ok((bytes, width, height)) => return Ok(Pixels { bytes, width, height, channels }),
            Err(unused) => buffer = unused,
        }
    }
    by_library(buffer, bytes, channels)
}

/// A JPEG of any kind.
pub(crate) fn by_library(mut buffer: Vec<u8>, bytes: &[u8], channels: usize) -> Result<Pixels, String> {
    let broken = |error| format!("broken JPEG ({error})");
    let colour = if channels == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(colour)
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().ok_or("broken JPEG (no size)")?;
    check_size(width, height)?;
    if decoder.output_buffer_size() != Some(width * height * channels) {
        return Err("a JPEG whose colours cannot be converted".into());
    }
    buffer.resize(width * height * channels, 0);
    decoder.decode_into(&mut buffer).map_err(broken)?;
    Ok(Pixels { bytes: buffer, width, height, channels })
}

fn png(bytes: &[u8], channels: usize) -> Result<Pixels, String> {
    let broken = |error| format!("broken PNG ({error})");
    let limits = png::Limits { bytes: PIXELS_LIMIT * 8 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    check_size(reader.info().width as usize, reader.info().height as usize)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("a PNG that is too large")?];
    let info = reader.next_frame(&mut buffer).map_err(broken)?;
    let samples = info.color_type.samples();
    let grey = samples < 3; // grey, or grey and alpha
    let pixels = buffer[..info.buffer_size()].chunks_exact(samples).flat_map(|pixel| {
        let rgb = if grey { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
        let out = if channels == 1 { [luma(rgb); 3] } else { rgb };
        out.into_iter().take(channels)
    });
    Ok(Pixels { bytes: pixels.collect(), width: info.width as usize, height: info.height as usize, channels })
}

/// ITU-R BT.601, as JPEG has it.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let luma = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    luma.round() as u8
}

/// The two sides of an image whose shorter one is scaled to `short`, as torchvision rounds: down.
pub(crate) fn scaled_sides(width: usize, height: usize, short: usize) -> [usize; 2] {
    let least = width.min(height).max(1);
    [short * width / least, short * height / least]
}

/// Half of a number, a half rounded to the even neighbour, as in Python and so where torchvision cuts the centre.
pub(crate) fn half_even(number: usize) -> usize {
    let half = number / 2;
    half + (number % 2) * (half % 2)
}

/// The centre square of `size` pixels of an image whose shorter side is scaled to that: what
/// `torchvision.transforms` gives for `Resize(size)`, antialiased and bilinear, and `CenterCrop(size)`.
pub(crate) fn square(pixels: Pixels, size: usize) -> Pixels {
    if (pixels.width, pixels.height) == (size, size) { pixels } else { square_of(&pixels, size) }
}

/// As [`square`], leaving the image as it is.
pub(crate) fn square_of(pixels: &Pixels, size: usize) -> Pixels {
    if (pixels.width, pixels.height) == (size, size) {
        return pixels.clone();
    }
    let whole = scaled_sides(pixels.width, pixels.height, size);
    scaled(pixels, whole, [half_even(whole[0] - size), half_even(whole[1] - size)], [size; 2])
}

/// The pixels that [`square_of`] looks at.
pub(crate) fn seen_by_square(width: usize, height: usize, size: usize) -> Window {
    let [rows, columns] = [(height, 1), (width, 0)].map(|(side, at)| {
        let scaled = scaled_sides(width, height, size)[at];
        let (by, corner) = (side as f64 / scaled as f64, half_even(scaled - size) as f64);
        // The filter reaches one scaled pixel further, or one pixel where it enlarges.
        let reach = by.max(1.0) + 1.0;
        let end = ((corner + size as f64) * by + reach).ceil() as usize;
        (corner * by - reach).max(0.0) as usize..end.min(side)
    });
    Window { rows, columns }
}

/// What EXIF says of how the camera was held, 1 to 8; 1 where nothing or nonsense is said.
pub(crate) fn orientation(bytes: &[u8]) -> u32 {
    let read = exif::Reader::new().read_from_container(&mut Cursor::new(bytes));
    let value = read
        .ok()
        .and_then(|exif| exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0));
    value.filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// Turns and mirrors an image so that it stands upright.
pub(crate) fn upright(pixels: Pixels, orientation: u32) -> Pixels {
    let Pixels { bytes, width, height, channels } = &pixels;
    let (width, height) = (*width, *height);
    if orientation == 1 {
        return pixels;
    }
    let turned = orientation >= 5;
    let [wide, tall] = if turned { [height, width] } else { [width, height] };
    let mut out = Vec::with_capacity(bytes.len());
    for y in 0..tall {
        for x in 0..wide {
            let (from_x, from_y) = match orientation {
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                _ => (width - 1 - y, x),
            };
            let at = (from_y * width + from_x) * channels;
            out.extend_from_slice(&bytes[at..at + channels]);
        }
    }
    Pixels { bytes: out, width: wide, height: tall, channels: *channels }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn encode_png(pixels: &[u8], width: u32, height: u32, colour: png::ColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn png_pixels_come_out_planar_and_exact() {
        let rgb: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let bytes = encode_png(&rgb, 2, 2, png::ColorType::Rgb);
        let expected = [0, 60, 120, 180, 20, 80, 140, 200, 40, 100, 160, 220];
        assert_eq!(planar(&bytes, 3, 2).unwrap(), expected);
        let grey = encode_png(&[1, 2, 3, 4], 2, 2, png::ColorType::Grayscale);
        assert_eq!(planar(&grey, 3, 2).unwrap(), [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
        assert_eq!(planar(&grey, 1, 2).unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn other_sizes_keep_the_centre_square() {
        // 6×2, three 2×2 blocks: only the middle one is in the centre square.
        let row = [10, 10, 90, 90, 50, 50];
        let bytes = encode_png(&[row, row].concat(), 6, 2, png::ColorType::Grayscale);
        assert_eq!(planar(&bytes, 1, 2).unwrap(), [90; 4]);
        // Scaled as a whole, then cut, as in the paper: the outer columns still feel their neighbours
        // (a quarter of 10 and of 50), which cutting first would forget.
        assert_eq!(planar(&bytes, 1, 4).unwrap(), [70, 90, 90, 80].repeat(4));
    }

    #[test]
    fn broken_files_are_errors() {
        let whole = encode_png(&[7; 64], 8, 8, png::ColorType::Grayscale);
        for length in [0, 1, 4, 20, whole.len() - 20] {
            assert!(planar(&whole[..length], 1, 8).is_err(), "{length} bytes");
        }
        assert!(planar(&[0xff, 0xd8, 0xff, 0xe0, 0, 0], 3, 8).is_err());
        assert!(planar(b"GIF89a", 3, 8).unwrap_err().contains("neither"));
    }

    #[test]
    fn absurd_sizes_are_refused_by_a_limit() {
        // A PNG of 60,000 × 60,000, its header's checksum right.
        let mut header = b"IHDR".to_vec();
        header.extend([60_000u32.to_be_bytes(), 60_000u32.to_be_bytes()].concat());
        header.extend([8, 2, 0, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        let crc = crc.sum().to_be_bytes();
        let png =
            [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &header, &crc, b"\0\0\0\0IDAT\x35\xaf\x06\x1e"].concat();
        let error = planar(&png, 3, 8).unwrap_err();
        assert!(error.contains("60000 × 60000") || error.contains("limits"), "{error}");
        let mut jpeg = Vec::new();
        jpeg_encoder::Encoder::new(&mut jpeg, 90)
            .encode(&[9; 8 * 8 * 3], 8, 8, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        assert!(planar(&jpeg, 3, 8).is_ok());
        // Height and width stand five bytes after the marker of the frame.
        let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 5;
        jpeg[frame..frame + 4].copy_from_slice(&[60_000u16.to_be_bytes(), 60_000u16.to_be_bytes()].concat());
        assert!(planar(&jpeg, 3, 8).unwrap_err().contains("claims 60000 × 60000 pixels"));
    }

    #[test]
    fn images_are_turned_upright_as_exif_defines() {
        // 3 × 2: a b c / d e f.
        let image = || Pixels { bytes: b"abcdef".to_vec(), width: 3, height: 2, channels: 1 };
        for (orientation, width, expected) in [
            (1, 3, b"abcdef"),
            (2, 3, b"cbafed"),
            (3, 3, b"fedcba"),
            (4, 3, b"defabc"),
            (5, 2, b"adbecf"),
            (6, 2, b"daebfc"),
            (7, 2, b"fcebda"),
            (8, 2, b"cfbead"),
        ] {
            let out = upright(image(), orientation);
            assert_eq!((out.width, &*out.bytes), (width, &expected[..]), "{orientation}");
        }
        assert_eq!(orientation(b"no image"), 1);
    }

    #[test]
    fn a_square_needs_no_more_than_it_is_said_to_look_at() {
        for (width, height, size) in
            [(500, 375, 256), (375, 500, 256), (90, 200, 256), (300, 301, 7), (64, 64, 64)]
        {
            let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 13) as u8;
            let whole =
                Pixels { bytes: (0..width * height).map(noise).collect(), width, height, channels: 1 };
            let Window { rows, columns } = seen_by_square(width, height, size);
            let mut part = whole.clone();
            for (at, pixel) in part.bytes.iter_mut().enumerate() {
                if !rows.contains(&(at / width)) || !columns.contains(&(at % width)) {
                    *pixel = !*pixel;
                }
            }
            assert_eq!(square_of(&part, size), square_of(&whole, size), "{width} × {height} to {size}");
            let spare = (rows.len() * columns.len()) as f64 / (width.min(height) as f64).powi(2);
            assert!(spare < 1.3, "{width} × {height} to {size}: {spare}");
        }
    }

    #[test]
    fn halves_are_rounded_as_in_python() {
        assert_eq!([0, 1, 2, 3, 4, 5, 7].map(half_even), [0, 0, 1, 2, 2, 2, 4]);
    }

    /// Against torchvision, by `tests/golden/resize.py`: a quarter, cut half a pixel off the middle, and full of edges; and
    /// enlarged by a half.
    #[test]
    fn a_picture_is_scaled_and_cut_as_by_torchvision() {
        let pixel = |at: usize| {
            let (x, y) = (at % 305, at / 305);
            [x * 7 + y * 3, x * y / 16, (x ^ y) * 5].map(|value| (value % 256) as u8)
        };
        let bytes = (0..305 * 200).flat_map(pixel).collect();
        let picture = Pixels { bytes, width: 305, height: 200, channels: 3 };
        let enlarged: Vec<u8> = square_of(&picture, 300).bytes.into_iter().step_by(97).collect();
        assert!(enlarged == include_bytes!("../../../tests/golden/resize_enlarged.bin"));
        assert!(square(picture, 48).bytes == include_bytes!("../../../tests/golden/resize_made.bin"));
    }
}
