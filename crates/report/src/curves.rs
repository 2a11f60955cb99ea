//! Learning curves as an SVG: validation error by epoch, the mean over seeds and their range.

use std::fmt::Write as _;

use crate::report::{ArmReport, Report};
use alexnet_study::ablation::Quantity;

pub(crate) const WIDTH: f64 = 720.0;
pub(crate) const HEIGHT: f64 = 420.0;
pub(crate) const LEFT: f64 = 64.0;
pub(crate) const RIGHT: f64 = 170.0;
pub(crate) const TOP: f64 = 48.0;
pub(crate) const BOTTOM: f64 = 52.0;

/// Colours that most colour-blind readers can distinguish (Okabe & Ito).
pub(crate) const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// One arm's curve: epoch, and the mean, lowest and highest error in percent.
struct Curve<'a> {
    name: &'a str,
    points: Vec<(f64, f64, f64, f64)>,
}

fn curve<'a>(arm: &'a ArmReport, split: &str) -> Curve<'a> {
    let last = arm.runs.iter().flat_map(|run| &run.rows).map(|row| row.epoch).max().unwrap_or(0);
    let points = (1..=last).filter_map(|epoch| {
        let rows = arm.runs.iter().flat_map(|run| &run.rows);
        let errors: Vec<f64> = rows
            .filter(|row| row.epoch == epoch && row.split == split)
            .map(|row| 100.0 * row.top1_error)
            .collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let low = errors.iter().copied().fold(f64::INFINITY, f64::min);
        let high = errors.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (!errors.is_empty()).then_some((epoch as f64, mean, low, high))
    });
    Curve { name: &arm.name, points: points.collect() }
}

/// Returns a tick step that gives about `count` ticks: 1, 2 or 5 times a power of ten.
pub(crate) fn tick_step(span: f64, count: f64) -> f64 {
    let raw = (span / count).max(1e-9);
    let power = 10f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|&step| step >= raw).unwrap_or(10.0 * power)
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Begins a chart with its title and horizontal grid lines, from `low` at the bottom to `high` at the top.
pub(crate) fn opened(question: &str, subject: &str, [low, high]: [f64; 2], step: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"37\" fill=\"#555\">{}</text>\n",
        escaped(question),
        escaped(subject),
    );
    let mut tick = low;
    while tick <= high + step / 2.0 {
        let at = TOP + (high - tick) / (high - low) * (HEIGHT - TOP - BOTTOM);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            (tick * 1000.0).round() / 1000.0,
        );
        tick += step;
    }
    svg
}

/// Returns the chart.
pub(crate) fn svg(report: &Report) -> String {
    let (split, what) = match report.quantity {
        Quantity::TestError => ("validation", "validation top-1 error, %"),
        Quantity::TrainingError | Quantity::EpochsToTrainingError => {
            ("train-evaluated", "training top-1 error, %")
        }
    };
    let curves: Vec<Curve> = report.arms.iter().map(|arm| curve(arm, split)).collect();
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let epochs = all().map(|point| point.0).fold(2.0, f64::max);
    let low = all().map(|point| point.2).fold(f64::INFINITY, f64::min).min(100.0);
    let high = all().map(|point| point.3).fold(0.0, f64::max).max(low + 1.0);
    let step = tick_step(high - low, 6.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let x = |epoch: f64| LEFT + (epoch - 1.0) / (epochs - 1.0) * (WIDTH - LEFT - RIGHT);
    let y = |error: f64| TOP + (high - error) / (high - low) * (HEIGHT - TOP - BOTTOM);

    let subject = format!(
        "`{}` at scale `{}` on {}; mean and range of {} seed(s)",
        report.ablation,
        report.scale,
        report.data,
        report.seeds.len(),
    );
    let mut svg = opened(&report.question, &subject, [low, high], step);
    let every = tick_step(epochs - 1.0, 10.0).max(1.0);
    let mut epoch = 1.0;
    while epoch <= epochs {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{epoch}</text>",
            x(epoch),
            HEIGHT - BOTTOM + 18.0,
        );
        epoch += every;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">epoch</text>\n\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{what}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0,
        (TOP + HEIGHT - BOTTOM) / 2.0,
    );
    for (index, curve) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            points
                .map(|(epoch, error)| format!("{:.1},{:.1}", x(epoch), y(error)))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let there = curve.points.iter().map(|point| (point.0, point.3));
        let back = curve.points.iter().rev().map(|point| (point.0, point.2));
        let band = path(&mut there.chain(back));
        let line = path(&mut curve.points.iter().map(|point| (point.0, point.1)));
        let legend = TOP + 10.0 + 20.0 * index as f64;
        let note = if curve.points.is_empty() { " (not trained)" } else { "" };
        let _ = writeln!(
            svg,
            "<polygon points=\"{band}\" fill=\"{colour}\" opacity=\"0.15\"/>\n\
             <polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <line x1=\"{0}\" x2=\"{1}\" y1=\"{legend}\" y2=\"{legend}\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{2}\" y=\"{3}\">{4}{note}</text>",
            WIDTH - RIGHT + 14.0,
            WIDTH - RIGHT + 38.0,
            WIDTH - RIGHT + 44.0,
            legend + 4.0,
            escaped(curve.name),
        );
    }
    svg + "</svg>\n"
}
