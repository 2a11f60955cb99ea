//! Pictures as PNG: drawings on white, and contact sheets with rows and columns of tiles and a line of text
//! under each.

use std::path::Path;

use embedded_graphics::mono_font::{MonoTextStyle, iso_8859_1::FONT_7X13};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};

/// Pixels between tiles.
const GAP: usize = 6;
/// The height of a line of text, in pixels.
const LINE: usize = 16;
/// The width of a letter, in pixels.
const LETTER: usize = 7;

/// A white canvas.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    /// Interleaved red, green and blue values.
    pixels: Vec<u8>,
}

/// Tiles on white.
pub(crate) struct Sheet {
    columns: usize,
    side: usize,
    canvas: Canvas,
}

impl Sheet {
    /// Creates a sheet of tiles of `side` pixels.
    pub(crate) fn new(columns: usize, rows: usize, side: usize) -> Self {
        let (width, height) = (GAP + columns * (side + GAP), GAP + rows * (side + LINE + GAP));
        Self { columns, side, canvas: Canvas::new(width, height) }
    }

    /// Draws a picture, `[channels, size, size]`, and its caption. Enlarges the picture by an integer factor
    /// to fit its tile.
    pub(crate) fn tile(&mut self, tile: usize, picture: &[u8], channels: usize, size: usize, text: &str) {
        let (row, column) = (tile / self.columns, tile % self.columns);
        let (left, top) = (GAP + column * (self.side + GAP), GAP + row * (self.side + LINE + GAP));
        let times = (self.side / size).max(1);
        self.canvas.picture([left, top], picture, channels, size, times);
        self.canvas.text([left, top + size * times + 1], text, self.side + GAP);
    }

    /// Writes the sheet.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        self.canvas.save(path)
    }
}

impl Canvas {
    /// Creates a white canvas of this size in pixels.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; width * height * 3] }
    }

    /// Creates a canvas from an existing picture, interleaved red, green and blue.
    pub(crate) fn of(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        Self { width, height, pixels }
    }

    /// Draws a picture, `[channels, size, size]`, with each pixel as a square of `times` × `times`.
    pub(crate) fn picture(
        &mut self,
        [left, top]: [usize; 2],
        picture: &[u8],
        channels: usize,
        size: usize,
        times: usize,
    ) {
        for y in 0..size * times {
            for x in 0..size * times {
                let from = (y / times) * size + x / times;
                let at = ((top + y) * self.width + left + x) * 3;
                for (channel, out) in self.pixels[at..at + 3].iter_mut().enumerate() {
                    *out = picture[channel.min(channels - 1) * size * size + from];
                }
            }
        }
    }

    /// Writes a line of text, at most `width` pixels wide.
    pub(crate) fn text(&mut self, [left, top]: [usize; 2], text: &str, width: usize) {
        let letters = width / LETTER;
        let text: String = if text.chars().count() > letters {
            text.chars().take(letters.saturating_sub(1)).chain(['.']).collect()
        } else {
            text.to_owned()
        };
        let style = MonoTextStyle::new(&FONT_7X13, Rgb888::BLACK);
        let place = Point::new(left as i32, top as i32);
        let _ = Text::with_baseline(&text, place, style, Baseline::Top).draw(self);
    }

    /// Fills a rectangle.
    pub(crate) fn fill(
        &mut self,
        [left, top]: [usize; 2],
        [wide, tall]: [usize; 2],
        [red, green, blue]: [u8; 3],
    ) {
        let colour = Rgb888::new(red, green, blue);
        let area = Rectangle::new(Point::new(left as i32, top as i32), Size::new(wide as u32, tall as u32));
        let _ = self.fill_solid(&area, colour);
    }

    /// Writes the picture atomically.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let bytes = alexnet_data::rgb_png(self.width, self.height, &self.pixels)?;
        Ok(alexnet_data::atomic_write(path, &bytes)?)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(place, colour) in pixels {
            let inside = |value: i32, end: usize| usize::try_from(value).ok().filter(|value| *value < end);
            if let (Some(x), Some(y)) = (inside(place.x, self.width), inside(place.y, self.height)) {
                let at = (y * self.width + x) * 3;
                self.pixels[at..at + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_beside_each_other_with_text_under_them() {
        let mut sheet = Sheet::new(2, 1, 64);
        sheet.tile(0, &[10; 3 * 32 * 32], 3, 32, "7 a name that is too long for its tile");
        sheet.tile(1, &[200; 64 * 64], 1, 64, "");
        let at = |x: usize, y: usize| sheet.canvas.pixels[(y * sheet.canvas.width + x) * 3];
        assert_eq!((at(GAP, GAP), at(GAP + 63, GAP + 63), at(GAP + 64, GAP)), (10, 10, 255));
        assert_eq!(at(2 * GAP + 64, GAP), 200);
        let text = (GAP + 64..GAP + 64 + LINE).any(|y| (GAP..GAP + 64).any(|x| at(x, y) == 0));
        assert!(text);
    }
}
