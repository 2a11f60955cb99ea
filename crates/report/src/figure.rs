//! Figures for slides: text, pictures and charts on one page, as SVG and as PNG.

mod chart;
mod raster;

pub use chart::Curve;
pub use raster::FigureError;

use crate::chart::escaped;

/// The width of a figure. On a slide of 1,920 pixels a unit is two pixels.
const FIGURE_WIDTH: f64 = 960.0;

/// The space around the content.
const MARGIN: f64 = 24.0;
/// The size of titles and of other text.
const TITLE: f64 = 24.0;
const TEXT: f64 = 16.0;
/// The distance between lines of the caption.
const LINE: f64 = 22.0;
/// The mean width of a letter, as a share of the text's size.
const LETTER: f64 = 0.56;

pub use crate::chart::COLOURS as FIGURE_COLOURS;

/// The side of a text at which its position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The text begins there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// A figure that is being drawn, from its title down. Positions are `[left, top]` below the title, sizes `[width, height]`.
#[derive(Debug, Clone)]
pub struct Figure {
    title: String,
    body: String,
    /// The lowest point of the content.
    bottom: f64,
}

/// A finished figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedFigure {
    /// The title.
    pub title: String,
    /// The text below the figure.
    pub caption: String,
    /// The figure with its title and caption.
    pub svg: String,
}

/// A picture of pixels, which keeps its squares when it is enlarged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Interleaved red, green and blue values.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Creates a picture from `[channels, side, side]` with one or three channels.
    ///
    /// # Panics
    /// If there are fewer values.
    pub fn planar(values: &[u8], channels: usize, side: usize) -> Self {
        let area = side * side;
        let value = |place: usize, colour: usize| values[colour.min(channels - 1) * area + place];
        let pixels = (0..area).flat_map(|place| [0, 1, 2].map(|colour| value(place, colour))).collect();
        Self { width: side, height: side, pixels }
    }

    /// Creates a picture of numbers, from black for 0 to white for `most`.
    pub fn grey(values: &[f32], side: usize, most: f32) -> Self {
        let level = |value: &f32| (255.0 * (value / most.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0)) as u8;
        Self::planar(&values.iter().map(level).collect::<Vec<_>>(), 1, side)
    }
}

impl Figure {
    /// Begins a figure.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new(), bottom: 0.0 }
    }

    /// Returns the width that content may have.
    pub fn width() -> f64 {
        FIGURE_WIDTH - 2.0 * MARGIN
    }

    /// Writes a line of text whose middle is at a height.
    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        self.coloured_text([x, y], anchor, "black", text);
    }

    /// Writes a line of text in an SVG colour.
    pub fn coloured_text(&mut self, [x, y]: [f64; 2], anchor: Anchor, colour: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        // White behind the letters keeps them legible on points and pictures.
        self.body += &format!(
            "<text x='{x:.1}' y='{:.1}' text-anchor='{anchor}' fill='{colour}' stroke='white' stroke-width='3' \
             paint-order='stroke'>{}</text>\n",
            y + 0.35 * TEXT,
            escaped(text)
        );
        self.bottom = self.bottom.max(y + 0.7 * TEXT);
    }

    /// Writes a line of text on a coloured area, centred.
    pub fn plain_text(&mut self, [x, y]: [f64; 2], text: &str) {
        self.body += &format!(
            "<text x='{x:.1}' y='{:.1}' text-anchor='middle'>{}</text>\n",
            y + 0.35 * TEXT,
            escaped(text)
        );
        self.bottom = self.bottom.max(y + 0.7 * TEXT);
    }

    /// Writes a line of text that is shortened to a width.
    pub fn label(&mut self, at: [f64; 2], anchor: Anchor, width: f64, text: &str) {
        self.text(at, anchor, &shortened(text, width));
    }

    /// Writes a coloured line of text that is shortened to a width.
    pub fn coloured_label(&mut self, at: [f64; 2], anchor: Anchor, colour: &str, width: f64, text: &str) {
        self.coloured_text(at, anchor, colour, &shortened(text, width));
    }

    /// Writes a slanted line of text that begins at a position and is shortened to a width.
    pub fn slanted(&mut self, [x, y]: [f64; 2], width: f64, text: &str) {
        self.body += &format!(
            "<text transform='translate({x:.1} {y:.1}) rotate(-30)'>{}</text>\n",
            escaped(&shortened(text, width))
        );
        self.bottom = self.bottom.max(y);
    }

    /// Draws a picture.
    ///
    /// # Errors
    /// If it has not as many pixels as its sides say, or none.
    pub fn picture(
        &mut self,
        [x, y]: [f64; 2],
        [width, height]: [f64; 2],
        picture: &Picture,
    ) -> Result<(), FigureError> {
        let png = alexnet_data::rgb_png(picture.width, picture.height, &picture.pixels)?;
        self.body += &format!(
            "<image x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' preserveAspectRatio='none' \
             style='image-rendering:pixelated' image-rendering='optimizeSpeed' href='data:image/png;base64,{}'/>\n",
            raster::base64(&png),
        );
        self.bottom = self.bottom.max(y + height);
        Ok(())
    }

    /// Fills a rectangle with an SVG colour.
    pub fn fill(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], colour: &str) {
        self.body += &format!(
            "<rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' fill='{colour}'/>\n"
        );
        self.bottom = self.bottom.max(y + height);
    }

    /// Draws the border of a rectangle.
    pub fn frame(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], colour: &str) {
        self.body += &format!(
            "<rect x='{x:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' fill='none' stroke='{colour}' \
             stroke-width='3'/>\n"
        );
        self.bottom = self.bottom.max(y + height);
    }

    /// Draws a point: a circle in one of six colours for the first six series, a square for the next six.
    pub fn point(&mut self, [x, y]: [f64; 2], radius: f64, series: usize) {
        let colour = FIGURE_COLOURS[series % FIGURE_COLOURS.len()];
        let style = format!("fill='{colour}' fill-opacity='0.7'");
        self.body += &match series / FIGURE_COLOURS.len() % 2 {
            0 => format!("<circle cx='{x:.1}' cy='{y:.1}' r='{radius}' {style}/>\n"),
            _ => format!(
                "<rect x='{:.1}' y='{:.1}' width='{side}' height='{side}' {style}/>\n",
                x - radius,
                y - radius,
                side = 2.0 * radius
            ),
        };
        self.bottom = self.bottom.max(y + radius);
    }

    /// Finishes the figure with its caption.
    pub fn finish(self, caption: &str) -> FinishedFigure {
        let head = MARGIN + 1.6 * TITLE;
        let mut y = head + self.bottom + 1.5 * TEXT;
        let mut lines = String::new();
        for line in wrapped(caption, Self::width()) {
            y += LINE;
            lines += &format!(
                "<text x='{MARGIN}' y='{:.1}' fill='#5b6168'>{}</text>\n",
                y - 0.5 * LINE,
                escaped(&line)
            );
        }
        let height = y + 0.5 * MARGIN;
        let svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {FIGURE_WIDTH} {height:.0}' \
             width='{FIGURE_WIDTH}' height='{height:.0}' role='img' aria-label='{title}' \
             font-family='DejaVu Sans, Verdana, sans-serif' font-size='{TEXT}'>\n\
             <rect width='100%' height='100%' fill='white'/>\n\
             <text x='{MARGIN}' y='{:.1}' font-size='{TITLE}'>{title}</text>\n\
             <g transform='translate({MARGIN} {head:.1})'>\n{}</g>\n{lines}</svg>\n",
            MARGIN + 0.8 * TITLE,
            self.body,
            title = escaped(&self.title),
        );
        FinishedFigure { title: self.title, caption: caption.to_owned(), svg }
    }
}

/// Shortens a text to a width.
fn shortened(text: &str, width: f64) -> String {
    let letters = (width / (LETTER * TEXT)) as usize;
    match text.chars().count() > letters.max(1) {
        true => text.chars().take(letters.max(2) - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Breaks a text into lines of at most a width.
fn wrapped(text: &str, width: f64) -> Vec<String> {
    let letters = (width / (LETTER * TEXT)) as usize;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= letters) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_drawn_as_svg_and_as_png() {
        let mut figure = Figure::new("α <b> & 25 %");
        figure.picture([0.0, 0.0], [100.0, 100.0], &Picture::grey(&[0.0, 1.0, 1.0, 0.0], 2, 1.0)).unwrap();
        let wrong = Picture { width: 2, height: 2, pixels: vec![0; 3] };
        assert!(
            figure
                .picture([0.0, 0.0], [9.0, 9.0], &wrong)
                .unwrap_err()
                .to_string()
                .contains("cannot be drawn")
        );
        figure.text([50.0, 120.0], Anchor::Middle, "<i>dress</i>");
        figure.point([300.0, 50.0], 5.0, 7);
        let done = figure.finish("Words ".repeat(60).as_str());
        assert!(done.svg.contains("α &lt;b&gt; &amp; 25 %") && !done.svg.contains("<i>"), "{}", done.svg);
        assert!(done.svg.matches("Words").count() == 60 && done.svg.matches("fill='#5b6168'").count() > 2);
        let png = done.png(2.0).unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.color_type), (1920, png::ColorType::Rgba));
        let at = |x: usize, y: usize| pixels[(y * 1920 + x) * 4];
        // The picture's two halves, sharp at their border, and letters in black.
        let (left, top) = (2 * 24, 2 * 62 + 1);
        assert_eq!([at(left + 98, top + 20), at(left + 102, top + 20)], [0, 255]);
        assert!((0..110).any(|y| (0..600).any(|x| at(x, y) < 50)), "the title has letters");
    }

    #[test]
    fn captions_break_between_words() {
        let lines = wrapped("one two three", 7.0 * LETTER * TEXT);
        assert_eq!(lines, ["one two", "three"]);
        assert_eq!(shortened("an ankle boot", 6.0 * LETTER * TEXT), "an an…");
    }
}
