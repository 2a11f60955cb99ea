//! Decodes and encodes JPEG with libjpeg-turbo-rs. The pixels equal those of libjpeg-turbo to the bit, and so those
//! of Pillow and torchvision.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat, Subsampling};

use crate::picture::{Picture, check_size, luma};

/// The largest number of scans in a progressive file. Each scan costs a pass over the whole image but takes few
/// bytes.
const SCANS_LIMIT: usize = 1000;

/// Extra columns around the requested ones: interpolated colour extends at most this far.
const MARGIN: usize = 8;

/// Decodes a JPEG and reuses a vector. `seen` takes width and height and returns the columns that are used. Only
/// those are converted to colours if that is as exact.
///
/// Damage is an error, while libjpeg itself continues with a warning.
pub(crate) fn decode(
    mut buffer: Vec<u8>,
    bytes: &[u8],
    channels: usize,
    seen: impl Fn(usize, usize) -> Range<usize>,
) -> Result<Picture, String> {
    let broken = |error: JpegError| format!("broken JPEG ({error})");
    let limits = DecodeLimits { max_scans: SCANS_LIMIT, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(broken)?;
    let frame = decoder.header();
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let (components, lossless) = (frame.components.len(), frame.is_lossless);
    check_size(width, height)?;
    if !has_end(bytes) {
        return Err("broken JPEG (it ends early, without an end marker)".into());
    }
    if frame.precision != 8 {
        return Err(format!("a JPEG of {} bits a sample, of which only 8 are read", frame.precision));
    }
    let sampling =
        |at: usize| frame.components.get(at).map(|one| (one.horizontal_sampling, one.vertical_sampling));
    let finest = frame.components.iter().fold((0, 0), |(across, down), one| {
        (across.max(one.horizontal_sampling), down.max(one.vertical_sampling))
    });
    // libjpeg-turbo-rs treats both as full-resolution planes.
    if components == 4 && [0, 3].iter().any(|&at| sampling(at) != Some(finest)) {
        return Err("a JPEG in CMYK whose first or last component has fewer samples than another".into());
    }
    let format = match (components, channels) {
        (4, _) => PixelFormat::Cmyk,
        (_, 1) => PixelFormat::Grayscale,
        _ => PixelFormat::Rgb,
    };
    decoder.set_output_format(format);
    // This is libjpeg's default. It affects progressive files without the last refinements.
    decoder.set_block_smoothing(true);
    let mut columns = 0..width;
    if components < 4 && !lossless {
        let seen = seen(width, height);
        let block = 8 * decoder
            .header()
            .components
            .iter()
            .map(|one| usize::from(one.horizontal_sampling))
            .max()
            .unwrap_or(1);
        let first = seen.start.saturating_sub(MARGIN) / block * block;
        let end = (seen.end + MARGIN).min(width);
        // Colour of very few columns is interpolated differently.
        if end - first >= 8 * block && end - first < width {
            columns = first..end;
            decoder.set_crop(first, end - first);
        }
    }
    buffer.resize(decoder.output_buffer_size().map_err(broken)?, 0);
    // A panic in the decoder counts as damage.
    let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode_image_into(&mut buffer)));
    let info = decoded.map_err(|_| "broken JPEG (its decoder failed)")?.map_err(broken)?;
    if (info.width, info.height, info.pixel_format) != (columns.len(), height, format) {
        return Err("a JPEG whose colours cannot be converted".into());
    }
    buffer.truncate(info.bytes_written);
    if format == PixelFormat::Cmyk {
        buffer = from_ink(&buffer, channels);
    }
    Ok(Picture { bytes: buffer, width, height, channels, columns })
}

/// Returns whether a file has an end marker. A file that is cut short between two scans decodes without error.
fn has_end(bytes: &[u8]) -> bool {
    if bytes.ends_with(&[0xff, 0xd9]) {
        return true;
    }
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[at + 1..];
        match *rest {
            [0xd9, ..] => return true,
            // An escaped 0xff, padding, or a restart marker: there is no segment to skip.
            [0 | 1 | 0xd0..=0xd8 | 0xff, ..] => {}
            [_, high, low, ..] => {
                rest = rest.get(1 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}

/// Converts cyan, magenta, yellow and black, stored inverted as by Adobe, to red, green and blue or to grey. The
/// result equals Pillow's `convert("RGB")`, whatever the file says of its inks.
fn from_ink(inks: &[u8], channels: usize) -> Vec<u8> {
    // a · b / 255, rounded.
    let product = |a: u8, b: u8| {
        let product = u32::from(a) * u32::from(b) + 128;
        (((product >> 8) + product) >> 8) as u8
    };
    let pixel = |&[cyan, magenta, yellow, black]: &[u8; 4]| {
        let rgb = [cyan, magenta, yellow].map(|ink| black - product(255 - ink, black));
        let out = if channels == 1 { [luma(rgb); 3] } else { rgb };
        out.into_iter().take(channels)
    };
    inks.as_chunks::<4>().0.iter().flat_map(pixel).collect()
}

/// Encodes an image of `[side, side, 3]` with libjpeg's defaults: colours at half the resolution, standard tables.
pub(crate) fn encode(pixels: &[u8], side: usize, quality: u8) -> Result<Vec<u8>, String> {
    let encoded =
        libjpeg_turbo_rs::compress(pixels, side, side, PixelFormat::Rgb, quality, Subsampling::S420);
    encoded.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/jpeg/");
        std::fs::read(format!("{corpus}{name}.jpg")).unwrap()
    }

    fn whole(bytes: &[u8], channels: usize) -> Result<Picture, String> {
        decode(Vec::new(), bytes, channels, |width, _| 0..width)
    }

    /// The entries of `tests/golden/jpegs.tsv`: name, width, height and checksum, or `None` if Pillow or this
    /// reader refuses the file.
    fn golden() -> impl Iterator<Item = (&'static str, Option<(usize, usize, u32)>)> {
        include_str!("../../../tests/golden/jpegs.tsv").lines().map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, width, height, checksum] = fields[..] else { return (fields[0], None) };
            let checksum = u32::from_str_radix(checksum, 16).unwrap();
            (name, Some((width.parse().unwrap(), height.parse().unwrap(), checksum)))
        })
    }

    #[test]
    fn every_kind_has_pillows_pixels_or_is_refused() {
        let mut wrong = Vec::new();
        for (name, expected) in golden() {
            let found = whole(&file(name), 3).map(|pixels| {
                let mut checksum = flate2::Crc::new();
                checksum.update(&pixels.bytes);
                (pixels.width, pixels.height, checksum.sum())
            });
            if found.clone().ok() != expected {
                wrong.push(format!("{name}: {found:x?}, expected {expected:x?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn some_columns_are_those_of_the_whole_image() {
        let mut parts = 0;
        for (name, _) in golden().filter(|(name, _)| name.starts_with("wide")) {
            let bytes = file(name);
            for channels in [1, 3] {
                let all = whole(&bytes, channels).unwrap();
                for seen in [100..280, 0..150, 130..400, 129..271, 200..201, 0..400] {
                    let part = decode(vec![7; 9], &bytes, channels, |_, _| seen.clone()).unwrap();
                    assert!(part.columns.start <= seen.start && seen.end <= part.columns.end);
                    parts += usize::from(part.columns.len() < all.width);
                    let rows = all.bytes.chunks_exact(all.width * channels);
                    for (row, held) in rows.zip(part.bytes.chunks_exact(part.columns.len() * channels)) {
                        let from = |row: &[u8], first: usize| {
                            row[(seen.start - first) * channels..(seen.end - first) * channels].to_vec()
                        };
                        assert_eq!(from(held, part.columns.start), from(row, 0), "{name} {seen:?}");
                    }
                }
            }
        }
        assert!(parts > 40, "{parts}");
    }

    #[test]
    fn a_file_cut_short_anywhere_is_an_error() {
        for name in ["baseline", "progressive", "scans", "arithmetic", "grey", "cmyk"] {
            let bytes = file(name);
            for length in 2..bytes.len() {
                assert!(whole(&bytes[..length], 3).is_err(), "{name}: {length} of {} bytes", bytes.len());
            }
            // Bytes after the end marker are ignored.
            assert!(whole(&[&bytes[..], b"and more"].concat(), 3).is_ok(), "{name}");
        }
    }

    #[test]
    fn grey_is_luma_and_colour_three_times_grey() {
        let (grey, colour) = (whole(&file("grey"), 1).unwrap(), whole(&file("grey"), 3).unwrap());
        assert!(colour.bytes.chunks_exact(3).zip(&grey.bytes).all(|(rgb, &grey)| rgb == [grey; 3]));
        for name in ["baseline", "rgb", "cmyk", "progressive"] {
            let (grey, colour) = (whole(&file(name), 1).unwrap(), whole(&file(name), 3).unwrap());
            assert_eq!(grey.bytes.len() * 3, colour.bytes.len(), "{name}");
            let far = colour.bytes.chunks_exact(3).zip(&grey.bytes).filter(|(rgb, grey)| {
                // Out-of-range colours are clamped, but their luma is not.
                luma([rgb[0], rgb[1], rgb[2]]).abs_diff(**grey) > 2
                    && !rgb.contains(&0)
                    && !rgb.contains(&255)
            });
            assert_eq!(far.count(), 0, "{name}");
        }
    }

    #[test]
    fn what_is_encoded_comes_back() {
        for side in [1, 8, 33, 64] {
            let pixel =
                |at: usize| [at % side * 255 / side, at / side * 255 / side, 90].map(|level| level as u8);
            let pixels: Vec<u8> = (0..side * side).flat_map(pixel).collect();
            let decoded = whole(&encode(&pixels, side, 95).unwrap(), 3).unwrap();
            assert_eq!((decoded.width, decoded.height), (side, side));
            let error: u32 = decoded.bytes.iter().zip(&pixels).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
            assert!(error < 8 * pixels.len() as u32, "{side}: {error}");
        }
    }
}
