use std::io::Cursor;

use fast_image_resize as fir;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// Decodes a JPEG or PNG to `[channels, size, size]`: the shorter side scaled to `size`, the centre
/// square cut out (Krizhevsky et al. 2012, §2). An image of that size is left as it is.
///
/// Grey images become three equal channels where `channels` is 3; colour becomes luma where it is 1.
pub(crate) fn decode(bytes: &[u8], channels: usize, size: usize) -> Result<Vec<u8>, String> {
    let (pixels, width, height) = pixels(bytes, channels)?;
    let pixels =
        if (width, height) == (size, size) { pixels } else { fit(pixels, width, height, channels, size)? };
    // Interleaved to planar.
    let area = size * size;
    Ok((0..channels * area).map(|i| pixels[(i % area) * channels + i / area]).collect())
}

/// The pixels of a JPEG or PNG, told apart by their first bytes: interleaved, with width and height.
pub(crate) fn pixels(bytes: &[u8], channels: usize) -> Result<(Vec<u8>, usize, usize), String> {
    match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes, channels),
        [0x89, b'P', b'N', b'G', ..] => png(bytes, channels),
        _ => Err("neither a JPEG nor a PNG file".into()),
    }
}

/// Interleaved pixels of three channels, all of them scaled, from `[width, height]` to another.
pub(crate) fn scaled(pixels: Vec<u8>, from: [usize; 2], to: [usize; 2]) -> Result<Vec<u8>, String> {
    if from == to {
        return Ok(pixels);
    }
    let error = |error: &dyn std::fmt::Display| format!("cannot be scaled ({error})");
    let kind = fir::PixelType::U8x3;
    let source = fir::images::Image::from_vec_u8(from[0] as u32, from[1] as u32, pixels, kind);
    let source = source.map_err(|e| error(&e))?;
    let mut target = fir::images::Image::new(to[0] as u32, to[1] as u32, kind);
    let options =
        fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear));
    fir::Resizer::new().resize(&source, &mut target, &options).map_err(|e| error(&e))?;
    Ok(target.into_vec())
}

fn jpeg(bytes: &[u8], channels: usize) -> Result<(Vec<u8>, usize, usize), String> {
    let colour = if channels == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default().jpeg_set_out_colorspace(colour).set_strict_mode(true);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| format!("broken JPEG ({error})"))?;
    let (width, height) = decoder.dimensions().ok_or("broken JPEG (no size)")?;
    if pixels.len() != width * height * channels {
        return Err("a JPEG whose colours cannot be converted".into());
    }
    Ok((pixels, width, height))
}

fn png(bytes: &[u8], channels: usize) -> Result<(Vec<u8>, usize, usize), String> {
    let broken = |error| format!("broken PNG ({error})");
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("a PNG that is too large")?];
    let info = reader.next_frame(&mut buffer).map_err(broken)?;
    let samples = info.color_type.samples();
    let grey = samples < 3; // grey, or grey and alpha
    let pixels = buffer[..info.buffer_size()].chunks_exact(samples).flat_map(|pixel| {
        let rgb = if grey { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
        let out = if channels == 1 { [luma(rgb); 3] } else { rgb };
        out.into_iter().take(channels)
    });
    Ok((pixels.collect(), info.width as usize, info.height as usize))
}

/// ITU-R BT.601, as JPEG has it.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let luma = 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
    luma.round() as u8
}

fn fit(
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    channels: usize,
    size: usize,
) -> Result<Vec<u8>, String> {
    let error = |error: &dyn std::fmt::Display| format!("cannot be scaled ({error})");
    let kind = if channels == 1 { fir::PixelType::U8 } else { fir::PixelType::U8x3 };
    let source =
        fir::images::Image::from_vec_u8(width as u32, height as u32, pixels, kind).map_err(|e| error(&e))?;
    let mut target = fir::images::Image::new(size as u32, size as u32, kind);
    let side = width.min(height) as f64;
    let options = fir::ResizeOptions::new()
        .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear))
        .crop((width as f64 - side) / 2.0, (height as f64 - side) / 2.0, side, side);
    fir::Resizer::new().resize(&source, &mut target, &options).map_err(|e| error(&e))?;
    Ok(target.into_vec())
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
        assert_eq!(decode(&bytes, 3, 2).unwrap(), expected);
        let grey = encode_png(&[1, 2, 3, 4], 2, 2, png::ColorType::Grayscale);
        assert_eq!(decode(&grey, 3, 2).unwrap(), [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
        assert_eq!(decode(&grey, 1, 2).unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn other_sizes_keep_the_centre_square() {
        // 6×2, three 2×2 blocks: only the middle one is in the centre square.
        let row = [10, 10, 90, 90, 50, 50];
        let bytes = encode_png(&[row, row].concat(), 6, 2, png::ColorType::Grayscale);
        assert_eq!(decode(&bytes, 1, 2).unwrap(), [90; 4]);
        // Scaled as a whole, then cut, as in the paper: the outer columns still feel their neighbours
        // (a quarter of 10 and of 50), which cutting first would forget.
        assert_eq!(decode(&bytes, 1, 4).unwrap(), [70, 90, 90, 80].repeat(4));
    }

    #[test]
    fn broken_files_are_errors() {
        let whole = encode_png(&[7; 64], 8, 8, png::ColorType::Grayscale);
        for length in [0, 1, 4, 20, whole.len() - 20] {
            assert!(decode(&whole[..length], 1, 8).is_err(), "{length} bytes");
        }
        assert!(decode(&[0xff, 0xd8, 0xff, 0xe0, 0, 0], 3, 8).is_err());
        assert!(decode(b"GIF89a", 3, 8).unwrap_err().contains("neither"));
    }
}
