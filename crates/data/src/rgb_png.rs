//! Pictures as PNG files.

use std::io;

/// Returns a PNG file of `width` × `height` pixels, interleaved red, green and blue.
///
/// # Errors
/// If there are no pixels, too many, or not as many as the sides say.
pub fn rgb_png(width: usize, height: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let side = |side: usize| u32::try_from(side).map_err(io::Error::other);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width)?, side(height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_written_and_one_without_its_pixels_is_an_error() {
        let pixels: Vec<u8> = (0..18).collect();
        let bytes = rgb_png(3, 2, &pixels).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(bytes)).read_info().unwrap();
        let mut back = vec![0; 18];
        assert_eq!((reader.next_frame(&mut back).unwrap().width, back), (3, pixels));
        for (width, height) in [(3, 3), (0, 2), (usize::MAX, 1)] {
            assert!(rgb_png(width, height, &[0; 18]).is_err(), "{width} × {height}");
        }
    }
}
