//! PNG: of figures, and of the pictures in them.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Options, Tree, fontdb::Database};

use super::{FinishedFigure, Picture};

/// Why a figure could not be drawn as pixels.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// The SVG is not valid.
    #[error("not a valid SVG: {0}")]
    Svg(#[from] usvg::Error),
    /// The picture has no pixels or too many.
    #[error("{width} × {height} pixels are none or too many")]
    Size {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The pixels could not be encoded.
    #[error("cannot be encoded as PNG: {0}")]
    Png(String),
}

impl FinishedFigure {
    /// Returns the figure as a PNG file with `scale` pixels per unit. All letters are those of one built-in font, so the
    /// picture is the same on every machine.
    ///
    /// # Errors
    /// If the figure is empty or too large.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, FigureError> {
        png(&self.svg, scale)
    }
}

/// Draws an SVG as a PNG file.
pub(crate) fn png(svg: &str, scale: f32) -> Result<Vec<u8>, FigureError> {
    let tree = Tree::from_str(svg, &options())?;
    let [width, height] =
        [tree.size().width(), tree.size().height()].map(|side| (side * scale).round() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or(FigureError::Size { width, height })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|problem| FigureError::Png(problem.to_string()))
}

fn options() -> Options<'static> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        for set in
            [Database::set_sans_serif_family, Database::set_serif_family, Database::set_monospace_family]
        {
            set(&mut fonts, "DejaVu Sans");
        }
        Arc::new(fonts)
    });
    Options { font_family: "DejaVu Sans".to_owned(), fontdb: fonts.clone(), ..Options::default() }
}

/// Encodes a picture as a PNG file.
///
/// # Panics
/// If there are not as many pixels as its sides say.
pub(super) fn encoded(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a picture with pixels");
    writer.write_image_data(&picture.pixels).expect("as many pixels as its sides say");
    writer.finish().expect("written to memory");
    bytes
}

/// Encodes bytes for a `data:` address (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
