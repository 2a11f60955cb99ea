//! PNG: of figures, and of the pictures in them.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Options, Tree, fontdb::Database};

use super::FinishedFigure;

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
    /// A picture in the figure has not as many pixels as its sides say.
    #[error("a picture cannot be drawn: {0}")]
    Picture(#[from] std::io::Error),
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
        let tree = Tree::from_str(&self.svg, &options())?;
        let side = |side: f32| (side * scale).round() as u32;
        let (width, height) = (side(tree.size().width()), side(tree.size().height()));
        let mut pixels = Pixmap::new(width, height).ok_or(FigureError::Size { width, height })?;
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
        pixels.encode_png().map_err(|problem| FigureError::Png(problem.to_string()))
    }
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

/// Encodes bytes for a `data:` address (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
