//! Learning curves in a figure.

use super::Figure;
use crate::chart::{Axis, Chart, Frame};

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
    /// Draws curves with axes and a legend, and a dashed line at a threshold.
    pub fn curves(&mut self, top: f64, [across, up]: [&str; 2], curves: &[Curve], threshold: Option<f64>) {
        let all = || curves.iter().flat_map(|curve| &curve.points);
        let x = Axis::linear(all().map(|point| point.0));
        let (first, last) = (all().map(|point| point.0).reduce(f64::min), all().map(|point| point.0).reduce(f64::max));
        let mut chart = Chart::new(Frame {
            class: "curves",
            label: up,
            title: None,
            margins: [64.0, 200.0],
            height: 300.0,
            x: (x, across),
            y: (Axis::rounded(all().map(|point| point.1).chain(threshold).chain([0.0])), up),
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
                chart.line(&curve.points, &format!("stroke-width='2' stroke-dasharray='{dashes}'"), &curve.name);
            });
        }
        if let (Some(at), Some(first), Some(last)) = (threshold, first, last) {
            chart.line(&[(first, at), (last, at)], "stroke='#5b6168' stroke-dasharray='2 4'", "threshold");
        }
        self.embed(top, &chart.finish(), 360.0);
    }

    /// Draws a chart of the report's over the whole width. `height` is the chart's own.
    pub(crate) fn embed(&mut self, top: f64, svg: &str, height: f64) {
        let width = Self::width();
        let scaled = height * width / crate::chart::WIDTH;
        let placed = format!("<svg x='0' y='{top:.1}' width='{width}' height='{scaled:.1}' ");
        self.body += &svg.replacen("<svg ", &placed, 1);
        self.bottom = self.bottom.max(top + scaled);
    }
}
