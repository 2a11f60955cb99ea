//! Test error by the number of training images, as an SVG, with one line per kind of arm. For example, the
//! arm `tuned, 40` is of the kind `tuned`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::curves::{BOTTOM, COLOURS, HEIGHT, LEFT, RIGHT, TOP, WIDTH, escaped, opened, tick_step};
use crate::report::Report;
use alexnet_study::ablation::Quantity;

/// The number of images, and the mean, lowest and highest error.
type Point = (f64, f64, f64, f64);

/// Returns the chart, or `None` if all arms learn from the same number of images.
pub(crate) fn svg(report: &Report) -> Option<String> {
    let mut kinds: Vec<(&str, Vec<Point>)> = Vec::new();
    let mut numbers = BTreeSet::new();
    for arm in report.arms.iter().filter(|_| report.quantity == Quantity::TestError) {
        let kind = arm.name.rsplit_once(", ").map_or(arm.name.as_str(), |(kind, _)| kind);
        numbers.insert(arm.training_images);
        let Some(mean) = arm.mean else { continue };
        let values = arm.values.iter().flatten();
        let (low, high) = values.fold((mean, mean), |(low, high), &value| (low.min(value), high.max(value)));
        let point = (arm.training_images as f64, mean, low, high);
        match kinds.iter_mut().find(|(name, _)| *name == kind) {
            Some((_, points)) => points.push(point),
            None => kinds.push((kind, vec![point])),
        }
    }
    let numbers: Vec<f64> = numbers.into_iter().map(|images| images as f64).collect();
    let ([first, .., last], false) = (numbers.as_slice(), kinds.is_empty()) else { return None };
    kinds.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let all = || kinds.iter().flat_map(|(_, points)| points);
    let (low, high) = (
        all().map(|point| point.2).fold(f64::INFINITY, f64::min),
        all().map(|point| point.3).fold(0.0, f64::max),
    );
    let step = tick_step((high - low).max(1.0), 6.0);
    let (low, high) = ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step));
    let x = |images: f64| LEFT + (images / first).ln() / (last / first).ln() * (WIDTH - LEFT - RIGHT);
    let y = |error: f64| TOP + (high - error) / (high - low).max(1e-9) * (HEIGHT - TOP - BOTTOM);
    let subject = format!("{}; mean and range", report.subject());
    let mut svg = opened(&report.question, &subject, [low, high], step);
    for &images in &numbers {
        let at = x(images);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"#eee\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{images}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">labelled training images</text>\n\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">test top-1 error, %</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0,
        (TOP + HEIGHT - BOTTOM) / 2.0,
    );
    for (index, (kind, points)) in kinds.iter().enumerate() {
        let (colour, legend) = (COLOURS[index % COLOURS.len()], TOP + 10.0 + 20.0 * index as f64);
        let line: Vec<String> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <line x1=\"{2}\" x2=\"{3}\" y1=\"{legend}\" y2=\"{legend}\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{4}\" y=\"{5}\">{1}</text>",
            line.join(" "),
            escaped(kind),
            WIDTH - RIGHT + 14.0,
            WIDTH - RIGHT + 38.0,
            WIDTH - RIGHT + 44.0,
            legend + 4.0,
        );
        for point in points {
            let at = x(point.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\
                 <circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                y(point.2),
                y(point.3),
                y(point.1),
            );
        }
    }
    Some(svg + "</svg>\n")
}
