//! Decodes image files to pixels.

use std::io::Cursor;
use std::ops::Range;

use crate::format::{self, Format};
use crate::jpeg;
use crate::picture::{PIXELS_LIMIT, Picture, check_size, luma};
use crate::resize::scaled;

/// Decodes an image to `[channels, size, size]`. The shorter side is scaled to `size` and the centre square is cut
/// out (Krizhevsky et al. 2012, §2). An image of that size is left as it is.
///
/// If `channels` is 3, a grey image becomes three equal channels. If it is 1, colour becomes luma.
///
/// Also returns the image's width and height before it was scaled.
pub(crate) fn planar(bytes: &[u8], channels: usize, size: usize) -> Result<(Vec<u8>, [usize; 2]), String> {
    let picture = pixels(bytes, channels)?;
    let sides = [picture.width, picture.height];
    let pixels = square(picture, size).bytes;
    let area = size * size;
    Ok(((0..channels * area).map(|i| pixels[(i % area) * channels + i / area]).collect(), sides))
}

/// Returns the pixels of an image file. Its first bytes determine the format, whatever its name. The EXIF
/// orientation is ignored, as in torchvision; see [`orientation`].
pub(crate) fn pixels(bytes: &[u8], channels: usize) -> Result<Picture, String> {
    pixels_in(Vec::new(), bytes, channels, |width, _| 0..width)
}

/// Does the same as [`pixels`] and reuses a vector. `seen` takes width and height and returns the columns that will
/// be used.
pub(crate) fn pixels_in(
    buffer: Vec<u8>,
    bytes: &[u8],
    channels: usize,
    seen: impl Fn(usize, usize) -> Range<usize>,
) -> Result<Picture, String> {
    let format = match format::sniff(bytes) {
        Some(format) => format,
        None if bytes.is_empty() => return Err("the file is empty".into()),
        None => return Err("not an image of a format known here".into()),
    };
    if !format.is_read() {
        return Err(format.refusal());
    }
    match format {
        Format::Png => png(bytes, channels),
        #[cfg(feature = "image-formats")]
        Format::WebP | Format::Gif | Format::Bmp | Format::Tiff => other(format, bytes, channels),
        _ => jpeg::decode(buffer, bytes, channels, seen),
    }
}

fn png(bytes: &[u8], channels: usize) -> Result<Picture, String> {
    let broken = |error: png::DecodingError| {
        format!("broken PNG ({})", damaged_chunk(bytes).unwrap_or_else(|| error.to_string()))
    };
    let limits = png::Limits { bytes: PIXELS_LIMIT * 8 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    check_size(reader.info().width as usize, reader.info().height as usize)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("a PNG that is too large")?];
    let info = reader.next_frame(&mut buffer).map_err(broken)?;
    // Reads to the last chunk: a file that ends before it is damaged too.
    reader.finish().map_err(broken)?;
    let samples = info.color_type.samples();
    let grey = samples < 3; // grey, or grey and alpha
    let rgb = buffer[..info.buffer_size()].chunks_exact(samples).map(|pixel| match grey {
        true => [pixel[0]; 3],
        false => [pixel[0], pixel[1], pixel[2]],
    });
    let bytes = from_rgb(rgb, channels);
    Ok(Picture::whole(bytes, info.width as usize, info.height as usize, channels))
}

/// Returns the first chunk of a PNG that is cut short or has a wrong checksum.
fn damaged_chunk(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes.get(8..)?;
    while let Some((head, _)) = rest.split_at_checked(8) {
        let (length, name) = head.split_at(4);
        let length = length.iter().fold(0, |sum, &byte| (sum << 8) | usize::from(byte));
        let Some(stored) = rest.get(length + 8..length + 12) else {
            return Some(format!("it ends within its {} chunk", name.escape_ascii()));
        };
        let mut checksum = flate2::Crc::new();
        checksum.update(&rest[4..length + 8]);
        if checksum.sum().to_be_bytes() != stored {
            return Some(format!("its {} chunk has a wrong checksum", name.escape_ascii()));
        }
        if name == b"IEND" {
            return None;
        }
        rest = &rest[length + 12..];
    }
    Some("it ends without an IEND chunk".to_owned())
}

/// Decodes a file in one of the formats that the `image` crate reads. Of several frames, the first is taken.
#[cfg(feature = "image-formats")]
fn other(format: Format, bytes: &[u8], channels: usize) -> Result<Picture, String> {
    use image::{ImageDecoder, ImageFormat, ImageReader, Limits};
    let broken = |error| format!("broken {} ({error})", format.name());
    let known = match format {
        Format::WebP => ImageFormat::WebP,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
        _ => ImageFormat::Tiff,
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXELS_LIMIT as u64 * 8);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(width as usize, height as usize)?;
    let image = image::DynamicImage::from_decoder(decoder).map_err(broken)?.into_rgb8();
    let rgb = image.pixels().map(|pixel| pixel.0);
    Ok(Picture::whole(from_rgb(rgb, channels), width as usize, height as usize, channels))
}

/// Returns the colours unchanged, or their luma.
fn from_rgb(pixels: impl Iterator<Item = [u8; 3]>, channels: usize) -> Vec<u8> {
    match channels {
        1 => pixels.map(luma).collect(),
        _ => pixels.flatten().collect(),
    }
}

/// Returns the sides of an image whose shorter side is scaled to `short`. The longer side is rounded down, as in
/// torchvision.
pub(crate) fn scaled_sides(width: usize, height: usize, short: usize) -> [usize; 2] {
    let least = width.min(height).max(1);
    [short * width / least, short * height / least]
}

/// Returns half of a number, with ties rounded to even, as Python does. torchvision thus places the centre crop.
pub(crate) fn half_even(number: usize) -> usize {
    let half = number / 2;
    half + (number % 2) * (half % 2)
}

/// Returns the centre square of `size` pixels of an image whose shorter side is scaled to `size`. The result equals
/// that of `Resize(size)`, antialiased and bilinear, and `CenterCrop(size)` in `torchvision.transforms`.
pub(crate) fn square(pixels: Picture, size: usize) -> Picture {
    if (pixels.width, pixels.height) == (size, size) { pixels } else { square_of(&pixels, size) }
}

/// Does the same as [`square`] and keeps the image.
pub(crate) fn square_of(pixels: &Picture, size: usize) -> Picture {
    if (pixels.width, pixels.height) == (size, size) {
        return pixels.clone();
    }
    let whole = scaled_sides(pixels.width, pixels.height, size);
    scaled(pixels, whole, [half_even(whole[0] - size), half_even(whole[1] - size)], [size; 2])
}

/// Returns the columns that [`square_of`] uses.
pub(crate) fn seen_by_square(width: usize, height: usize, size: usize) -> Range<usize> {
    let scaled = scaled_sides(width, height, size)[0];
    let (by, corner) = (width as f64 / scaled as f64, half_even(scaled - size) as f64);
    // The filter extends by one scaled pixel, or by one source pixel when it enlarges.
    let reach = by.max(1.0) + 1.0;
    let end = ((corner + size as f64) * by + reach).ceil() as usize;
    (corner * by - reach).max(0.0) as usize..end.min(width)
}

/// Returns the EXIF orientation, 1 to 8, or 1 if it is missing or invalid.
pub(crate) fn orientation(bytes: &[u8]) -> u32 {
    let read = exif::Reader::new().read_from_container(&mut Cursor::new(bytes));
    let value = read
        .ok()
        .and_then(|exif| exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)?.value.get_uint(0));
    value.filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// Rotates and mirrors an image so that it is upright.
pub(crate) fn upright(pixels: Picture, orientation: u32) -> Picture {
    let Picture { bytes, width, height, channels, .. } = &pixels;
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
    Picture::whole(out, wide, tall, *channels)
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
        assert_eq!(planar(&bytes, 3, 2).unwrap(), (expected.to_vec(), [2, 2]));
        let grey = encode_png(&[1, 2, 3, 4], 2, 2, png::ColorType::Grayscale);
        assert_eq!(planar(&grey, 3, 2).unwrap().0, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
        assert_eq!(planar(&grey, 1, 2).unwrap().0, [1, 2, 3, 4]);
    }

    #[test]
    fn other_sizes_keep_the_centre_square() {
        // The image is 6×2, three 2×2 blocks. Only the middle block is in the centre square.
        let row = [10, 10, 90, 90, 50, 50];
        let bytes = encode_png(&[row, row].concat(), 6, 2, png::ColorType::Grayscale);
        assert_eq!(planar(&bytes, 1, 2).unwrap().0, [90; 4]);
        // The image is scaled as a whole and then cut, as in the paper. So the outer columns include a quarter of
        // their neighbours (10 and 50); cutting first would lose that.
        assert_eq!(planar(&bytes, 1, 4).unwrap().0, [70, 90, 90, 80].repeat(4));
    }

    #[test]
    fn broken_files_are_errors() {
        let whole = encode_png(&[7; 64], 8, 8, png::ColorType::Grayscale);
        for length in [0, 1, 4, 20, whole.len() - 20] {
            assert!(planar(&whole[..length], 1, 8).is_err(), "{length} bytes");
        }
        assert!(planar(&[0xff, 0xd8, 0xff, 0xe0, 0, 0], 3, 8).is_err());
        assert!(planar(b"no image", 3, 8).unwrap_err().contains("not an image"));
    }

    #[test]
    fn a_damaged_png_names_the_chunk() {
        let whole = encode_png(&[7; 64], 8, 8, png::ColorType::Grayscale);
        let mut wrong = whole.clone();
        // The checksum of the pixels precedes the last chunk, which has twelve bytes.
        let at = wrong.len() - 13;
        wrong[at] ^= 1;
        let error = pixels(&wrong, 3).unwrap_err();
        assert_eq!(error, "broken PNG (its IDAT chunk has a wrong checksum)");
        for (missing, chunk) in [(12, "IEND"), (3, "IEND"), (20, "IDAT")] {
            let error = pixels(&whole[..whole.len() - missing], 3).unwrap_err();
            assert!(error.contains(chunk), "{missing}: {error}");
        }
    }

    /// Compares with the picture of `fuzz/make_corpus.py`.
    #[test]
    fn other_formats_are_read_or_named() {
        let picture: Vec<u8> = (0..17 * 13)
            .flat_map(|at| {
                let (x, y) = (at % 17, at / 17);
                [x * 15, y * 19, (x ^ y) * 9].map(|value| (value % 256) as u8)
            })
            .collect();
        for name in ["colour.bmp", "colour.tiff", "lossless.webp", "lossy.webp", "two-frames.gif"] {
            let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/image/");
            let bytes = std::fs::read(format!("{corpus}{name}")).unwrap();
            let found = pixels(&bytes, 3);
            if cfg!(not(feature = "image-formats")) {
                assert!(found.unwrap_err().contains("build with `--features image-formats`"));
                continue;
            }
            let found = found.unwrap();
            assert_eq!((found.width, found.height), (17, 13), "{name}");
            let levels = found.bytes.iter().zip(&picture).map(|(&a, &b)| u32::from(a.abs_diff(b)));
            let most = if name == "lossy.webp" { 12 * picture.len() as u32 } else { 0 };
            assert!(levels.sum::<u32>() <= most, "{name}");
            assert!(pixels(&bytes[..bytes.len() / 2], 3).is_err(), "{name} cut short");
        }
    }

    #[test]
    #[cfg(feature = "image-formats")]
    fn absurd_sizes_are_refused_in_other_formats_too() {
        // Width and height of a bitmap start at byte 18.
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/image/colour.bmp");
        let mut bytes = std::fs::read(corpus).unwrap();
        bytes[18..26].copy_from_slice(&[30_000u32.to_le_bytes(), 30_000u32.to_le_bytes()].concat());
        assert!(pixels(&bytes, 3).is_err());
    }

    #[test]
    fn absurd_sizes_are_refused_by_a_limit() {
        // A PNG of 60,000 × 60,000 whose header has a valid checksum.
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
        let mut jpeg = jpeg::encode(&[9; 8 * 8 * 3], 8, 90).unwrap();
        assert!(planar(&jpeg, 3, 8).is_ok());
        // Height and width start five bytes after the frame marker.
        let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 5;
        jpeg[frame..frame + 4].copy_from_slice(&[60_000u16.to_be_bytes(), 60_000u16.to_be_bytes()].concat());
        assert!(planar(&jpeg, 3, 8).unwrap_err().contains("claims 60000 × 60000 pixels"));
    }

    #[test]
    fn images_are_turned_upright_as_exif_defines() {
        // 3 × 2: a b c / d e f.
        let image = || Picture::whole(b"abcdef".to_vec(), 3, 2, 1);
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
            [(500, 375, 256), (375, 500, 256), (90, 200, 256), (300, 301, 7), (64, 64, 64), (900, 90, 40)]
        {
            let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 13) as u8;
            let whole = Picture::whole((0..width * height).map(noise).collect(), width, height, 1);
            let columns = seen_by_square(width, height, size);
            let rows = whole.bytes.chunks_exact(width);
            let bytes = rows.flat_map(|row| row[columns.clone()].to_vec()).collect();
            let part = Picture { bytes, columns: columns.clone(), ..whole };
            assert_eq!(
                square_of(&part, size).bytes,
                square_of(&whole, size).bytes,
                "{width} × {height} to {size}"
            );
            let spare = columns.len() as f64 / width.min(height) as f64;
            assert!(spare < 1.3, "{width} × {height} to {size}: {spare}");
        }
    }

    #[test]
    fn halves_are_rounded_as_in_python() {
        assert_eq!([0, 1, 2, 3, 4, 5, 7].map(half_even), [0, 0, 1, 2, 2, 2, 4]);
    }

    /// Compares with Pillow, by `tests/golden/resize.py`: wide, tall and very tall pictures full of edges, scaled
    /// down and up.
    #[test]
    fn pictures_are_scaled_and_cut_as_by_pillow() {
        for line in include_str!("../../../tests/golden/resize_made.tsv").lines() {
            let (numbers, checksum) = line.rsplit_once('\t').unwrap();
            let [width, height, side] =
                numbers.split('\t').map(|number| number.parse().unwrap()).collect::<Vec<usize>>()[..]
            else {
                panic!("{line}");
            };
            let pixel = |at: usize| {
                let (x, y) = (at % width, at / width);
                [x * 7 + y * 3, x * y / 16, (x ^ y) * 5].map(|value| (value % 256) as u8)
            };
            let bytes = (0..width * height).flat_map(pixel).collect();
            let mut found = flate2::Crc::new();
            found.update(&square(Picture::whole(bytes, width, height, 3), side).bytes);
            assert_eq!(format!("{:08x}", found.sum()), checksum, "{width} × {height} to {side}");
        }
    }
}
