//! Learning curves in a figure.

use super::Figure;
use crate::chart::{Axis, Chart, Frame, whole_height};

/// The height of the plot.
const PLOT: f64 = 300.0;

/// A curve of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the legend. Curves of the same name have the same colour.
    pub name: String,
    /// Whether the line is dashed.
    pub dashed: bool,
    /// The points.
    pub points: Vec<(f64, f64)>,
}

impl Figure {
    /// Draws curves with axes and a legend, and a dotted line at a threshold.
    pub fn curves(&mut self, top: f64, titles: [&str; 2], curves: &[Curve], threshold: Option<f64>) {
        let places = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        let ends = places().reduce(f64::min).zip(places().reduce(f64::max));
        let line = threshold.zip(ends).map(|(at, (first, last))| [(first, at), (last, at)]);
        self.drawn(top, Axis::linear(places()), titles, curves, line);
    }

    /// Draws curves over learning rates, on a logarithmic axis, and a dotted line at one of them.
    pub fn curves_over_rates(&mut self, top: f64, up: &str, curves: &[Curve], marked: Option<f64>) {
        let all = || curves.iter().flat_map(|curve| &curve.points);
        let most = all().map(|point| point.1).fold(0.0, f64::max);
        let line = marked.map(|rate| [(rate, 0.0), (rate, most)]);
        self.drawn(top, Axis::logarithmic(all().map(|point| point.0)), ["learning rate", up], curves, line);
    }

    fn drawn(
        &mut self,
        top: f64,
        x: Axis,
        [across, up]: [&str; 2],
        curves: &[Curve],
        dotted: Option<[(f64, f64); 2]>,
    ) {
        let dotted_heights = || dotted.into_iter().flatten().map(|point| point.1);
        let heights =
            curves.iter().flat_map(|curve| &curve.points).map(|point| point.1).chain(dotted_heights());
        let mut chart = Chart::new(Frame {
            class: "curves",
            label: up,
            title: None,
            margins: [64.0, 200.0],
            height: PLOT,
            x: (x, across),
            y: (Axis::rounded(heights.chain([0.0])), up),
        });
        let mut names: Vec<&str> = Vec::new();
        for curve in curves {
            let known = names.iter().position(|name| *name == curve.name);
            let index = known.unwrap_or(names.len());
            if known.is_none() {
                names.push(&curve.name);
            }
            let dashes = if curve.dashed { "6 4" } else { "none" };
            chart.series(index, known.is_none().then_some(curve.name.as_str()), |chart| {
                chart.line(
                    &curve.points,
                    &format!("stroke-width='2' stroke-dasharray='{dashes}'"),
                    &curve.name,
                );
            });
        }
        if let Some(dotted) = dotted {
            chart.line(&dotted, "stroke='#5b6168' stroke-width='2' stroke-dasharray='2 4'", "");
        }
        self.embed(top, &chart.finish(), PLOT);
    }

    /// Draws a chart without a title over the whole width. `plot` is the height of its plot.
    pub(crate) fn embed(&mut self, top: f64, svg: &str, plot: f64) {
        let width = Self::width();
        let scaled = whole_height(plot) * width / crate::chart::WIDTH;
        let placed = format!("<svg x='0' y='{top:.1}' width='{width}' height='{scaled:.1}' ");
        self.body += &svg.replacen("<svg ", &placed, 1);
        self.bottom = self.bottom.max(top + scaled);
    }
}
