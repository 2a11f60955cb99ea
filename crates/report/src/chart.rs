//! Charts as SVG: a frame with two axes, and marks in the units of these axes. A chart is a file of its own
//! or part of a page, whose style sheet overrides the colours here by class.

mod axis;

pub(crate) use axis::Axis;

/// The width of every chart, in pixels.
pub(crate) const WIDTH: f64 = 720.0;

/// Colours that most colour-blind readers can distinguish (Okabe & Ito, with a darker orange).
pub const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9"];

/// The space above the plot of a chart without a title, and below every plot, in pixels.
const UNTITLED: f64 = 12.0;
const BELOW: f64 = 48.0;

/// Dashes distinguish series of the same colour.
const DASHES: [&str; 4] = ["none", "6 3", "2 3", "8 3 2 3"];

const SOFT: &str = "class='soft' fill='#5b6168'";
const MIDDLE: &str = "class='soft' fill='#5b6168' text-anchor='middle'";

/// Everything around the marks of a chart.
pub(crate) struct Frame<'a> {
    /// CSS classes.
    pub(crate) class: &'a str,
    /// A description for readers who do not see the chart.
    pub(crate) label: &'a str,
    /// Title and subtitle, for a chart outside a page.
    pub(crate) title: Option<[&'a str; 2]>,
    /// The pixels to the left and to the right of the plot.
    pub(crate) margins: [f64; 2],
    /// The height of the plot, in pixels.
    pub(crate) height: f64,
    /// The horizontal axis and its title.
    pub(crate) x: (Axis, &'a str),
    /// The vertical axis and its title.
    pub(crate) y: (Axis, &'a str),
}

/// A chart that is being drawn. Points are in the units of the axes; `attributes` are SVG's.
pub(crate) struct Chart {
    svg: String,
    x: Axis,
    y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// The number of entries in the legend.
    entries: usize,
}

/// Returns the height of a chart without a title, whose plot has this height.
pub(crate) fn whole_height(plot: f64) -> f64 {
    UNTITLED + plot + BELOW
}

impl Chart {
    /// Draws the frame: titles, axes and grid.
    pub(crate) fn new(frame: Frame<'_>) -> Self {
        let Frame { class, label, title, x: (x, across), y: (y, up), .. } = frame;
        let (left, right) = (frame.margins[0], WIDTH - frame.margins[1]);
        let top = if title.is_some() { 48.0 } else { UNTITLED };
        let bottom = top + frame.height;
        let svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {}' class='{class}' \
             role='img' aria-label='{}' font-family='sans-serif' font-size='12'>\n\
             <rect class='background' width='100%' height='100%' fill='white'/>\n",
            bottom + BELOW,
            escaped(label),
        );
        let (columns, rows) = (x.ticks.clone(), y.ticks.clone());
        let mut chart = Self { svg, x, y, left, right, top, bottom, entries: 0 };
        if let Some([title, subtitle]) = title {
            chart.text([left, 20.0], "font-size='14'", title);
            chart.text([left, 37.0], SOFT, subtitle);
        }
        for tick in columns {
            let (at, _) = chart.pixels((tick, 0.0));
            chart.grid([at, at], [top, bottom]);
            chart.text([at, bottom + 18.0], MIDDLE, &short(tick));
        }
        for tick in rows {
            let (_, at) = chart.pixels((0.0, tick));
            chart.grid([left, right], [at, at]);
            chart.text([left - 8.0, at + 4.0], &format!("{SOFT} text-anchor='end'"), &short(tick));
        }
        chart.text([(left + right) / 2.0, bottom + 38.0], MIDDLE, across);
        let rotated = format!("{MIDDLE} transform='rotate(-90 16 {0})'", (top + bottom) / 2.0);
        chart.text([16.0, (top + bottom) / 2.0], &rotated, up);
        chart
    }

    /// Draws in a group, which has the attributes for all that is in it.
    pub(crate) fn group(&mut self, attributes: &str, draw: impl FnOnce(&mut Self)) {
        self.svg += &format!("<g {attributes}>\n");
        draw(self);
        self.svg += "</g>\n";
    }

    /// Draws a series in its colour, with an entry in the legend if it has a name.
    pub(crate) fn series(&mut self, index: usize, name: Option<&str>, draw: impl FnOnce(&mut Self)) {
        let colour = colour(index);
        self.group(&format!("class='arm-{index}' stroke='{colour}' fill='{colour}'"), |chart| {
            draw(chart);
            let Some(name) = name else { return };
            let (x, y) = (chart.right + 14.0, chart.top + 10.0 + 20.0 * chart.entries as f64);
            chart.entries += 1;
            chart.svg += &format!(
                "<line x1='{x}' x2='{}' y1='{y}' y2='{y}' stroke-width='2.5' \
                 stroke-dasharray='{}'/>\n",
                x + 24.0,
                dash(index),
            );
            chart.name([x + 30.0, y + 4.0], name);
        });
    }

    /// Draws a line through points, or the point if there is only one.
    pub(crate) fn line(&mut self, points: &[(f64, f64)], attributes: &str, title: &str) {
        match points {
            [] => {}
            [only] => self.point(*only, 3.0, title, None),
            _ => {
                let (path, title) = (self.path(points.iter()), titled(title));
                self.svg +=
                    &format!("<polyline points='{path}' fill='none' {attributes}>{title}</polyline>\n");
            }
        }
    }

    /// Fills the area between two lines.
    pub(crate) fn band(&mut self, upper: &[(f64, f64)], lower: &[(f64, f64)], attributes: &str) {
        let path = self.path(upper.iter().chain(lower.iter().rev()));
        self.svg += &format!("<polygon points='{path}' {attributes}/>\n");
    }

    /// Draws a circle. `link` is the id of an element of the page.
    pub(crate) fn point(&mut self, at: (f64, f64), radius: f64, title: &str, link: Option<&str>) {
        let ((x, y), title) = (self.pixels(at), titled(title));
        let circle = format!("<circle class='point' cx='{x:.1}' cy='{y:.1}' r='{radius}'>{title}</circle>");
        let linked = match link {
            // The tab key passes over the points, since it reaches the rows to which they lead.
            Some(id) => format!("<a href='#{}' tabindex='-1'>{circle}</a>\n", escaped(id)),
            None => circle + "\n",
        };
        self.svg += &linked;
    }

    /// Draws a square.
    pub(crate) fn square(&mut self, at: (f64, f64), title: &str) {
        let (x, y) = self.pixels(at);
        self.svg += &format!(
            "<rect x='{:.1}' y='{:.1}' width='10' height='10'>{}</rect>\n",
            x - 5.0,
            y - 5.0,
            titled(title),
        );
    }

    /// Draws a square that leads to the element with the id `link` of the page.
    pub(crate) fn linked_square(&mut self, at: (f64, f64), title: &str, link: &str) {
        self.svg += &format!("<a href='#{}'>\n", escaped(link));
        self.square(at, title);
        self.svg += "</a>\n";
    }

    /// Writes a text to the right of the plot.
    pub(crate) fn aside(&mut self, y: f64, text: &str) {
        let (_, y) = self.pixels((0.0, y));
        self.name([self.right + 10.0, y + 4.0], text);
    }

    /// Writes a remark to the right of a point.
    pub(crate) fn note(&mut self, at: (f64, f64), text: &str) {
        let (x, y) = self.pixels(at);
        self.text([x + 8.0, y + 4.0], &format!("{SOFT} stroke='none'"), text);
    }

    /// Writes the name of a row to the left of the plot.
    pub(crate) fn row(&mut self, y: f64, name: &str) {
        let (_, y) = self.pixels((0.0, y));
        self.name([0.0, y + 4.0], name);
    }

    /// Returns the SVG.
    pub(crate) fn finish(self) -> String {
        self.svg + "</svg>\n"
    }

    fn grid(&mut self, [x1, x2]: [f64; 2], [y1, y2]: [f64; 2]) {
        self.svg += &format!(
            "<line class='grid' x1='{x1:.1}' x2='{x2:.1}' y1='{y1:.1}' y2='{y2:.1}' \
             stroke='#d5d9de'/>\n"
        );
    }

    fn text(&mut self, [x, y]: [f64; 2], attributes: &str, text: &str) {
        self.svg += &format!("<text x='{x:.1}' y='{y:.1}' {attributes}>{}</text>\n", escaped(text));
    }

    /// Writes a name, shortened to the width of a margin.
    fn name(&mut self, [x, y]: [f64; 2], name: &str) {
        let most = 24;
        let short: String = match name.chars().count() > most {
            true => name.chars().take(most - 1).chain(['…']).collect(),
            false => name.to_owned(),
        };
        self.svg += &format!(
            "<text x='{x:.1}' y='{y:.1}' stroke='none' fill='black'>{}{}</text>\n",
            titled(name),
            escaped(&short),
        );
    }

    fn path<'a>(&self, points: impl Iterator<Item = &'a (f64, f64)>) -> String {
        let places = points.map(|&point| {
            let (x, y) = self.pixels(point);
            format!("{x:.1},{y:.1}")
        });
        places.collect::<Vec<_>>().join(" ")
    }

    fn pixels(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            self.left + self.x.share(x) * (self.right - self.left),
            self.bottom - self.y.share(y) * (self.bottom - self.top),
        )
    }
}

/// Returns the colour of a series.
pub(crate) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// Returns the dashes of a series' line, as SVG's `stroke-dasharray`.
pub(crate) fn dash(index: usize) -> &'static str {
    DASHES[index / COLOURS.len() % DASHES.len()]
}

/// Escapes text for HTML and XML, in elements and quoted attributes. Replaces characters that XML forbids.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(letter),
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            _ if letter.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Returns the element that browsers show while the pointer is over its parent.
fn titled(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(text)) }
}

/// Formats the number at a tick: `0.25`, `50`, `12 k`, `1.5 M`.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    // Learning rates are small.
    if value != 0.0 && value.abs() < 0.01 && value.abs() > 1e-9 {
        let digits = 1 - value.abs().log10().floor() as i32;
        let text = format!("{value:.*}", digits.max(0) as usize);
        return text.trim_end_matches('0').to_owned();
    }
    // Adding 0 turns -0 into 0.
    format!("{}{unit}", (value * 1000.0).round() / 1000.0 + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_ticks_are_short() {
        let numbers = [-0.0, 0.1 * 3.0, 50.0, -0.5, 12_000.0, 1_500_000.0, 0.0005, -0.0025, -2.775e-17];
        let texts = numbers.map(short);
        assert_eq!(texts, ["0", "0.3", "50", "-0.5", "12 k", "1.5 M", "0.0005", "-0.0025", "0"]);
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</text><script>alert(\"1\" & '2')</script>\u{1}";
        let axis = || Axis::linear([]);
        let mut chart = Chart::new(Frame {
            class: "test",
            label: hostile,
            title: Some([hostile, hostile]),
            margins: [64.0, 200.0],
            height: 100.0,
            x: (axis(), hostile),
            y: (axis(), hostile),
        });
        chart.series(7, Some(hostile), |chart| {
            chart.line(&[(0.0, 0.0), (1.0, 1.0)], "", hostile);
            chart.line(&[(0.5, 0.5)], "", hostile);
            chart.square((0.5, 0.5), hostile);
            chart.note((0.5, 0.5), hostile);
            chart.point((0.5, 0.5), 3.0, hostile, Some("\"><script>"));
        });
        chart.row(0.5, hostile);
        let svg = chart.finish();
        assert!(!svg.contains("<script") && !svg.contains('\u{1}') && !svg.contains("NaN"), "{svg}");
        assert!(svg.contains("&lt;/text&gt;") && svg.contains("stroke-dasharray='6 3'"), "{svg}");
        for element in ["text", "g", "a", "circle", "polyline", "title"] {
            let count = |text: String| svg.matches(&text).count();
            let begun = count(format!("<{element}>")) + count(format!("<{element} "));
            assert_eq!(begun, count(format!("</{element}>")), "{element} in {svg}");
        }
    }
}
