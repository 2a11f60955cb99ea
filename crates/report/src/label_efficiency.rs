//! Test error by the number of training images, with one line per kind of arm. For example, the arm
//! `tuned, 40` is of the kind `tuned`.

use std::collections::BTreeSet;

use alexnet_study::ablation::Quantity;

use crate::chart::{Axis, Chart, Frame, dash};
use crate::report::Report;

/// The number of images, and the mean, lowest and highest error in percent.
type Point = (f64, f64, f64, f64);

/// Returns the chart, or `None` if all arms learn from the same number of images.
pub(crate) fn svg(report: &Report) -> Option<String> {
    chart(report, true)
}

/// Returns the chart, with the question as its title if `titled`; in a page the question is above it.
pub(crate) fn chart(report: &Report, titled: bool) -> Option<String> {
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
    if numbers.len() < 2 || kinds.is_empty() {
        return None;
    }
    kinds.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let numbers: Vec<f64> = numbers.into_iter().map(|images| images as f64).collect();
    let mut x = Axis::logarithmic(numbers.iter().copied());
    x.ticks = numbers;
    let points = kinds.iter().flat_map(|(_, points)| points);
    let y = Axis::rounded(points.flat_map(|point| [point.2, point.3]));
    let subject = format!("{}; mean and range", report.subject());
    let mut chart = Chart::new(Frame {
        class: "labels",
        label: "Test error by the number of labelled training images",
        title: titled.then_some([report.question.as_str(), subject.as_str()]),
        margins: [64.0, 200.0],
        height: f64::max(320.0, 20.0 * kinds.len() as f64),
        x: (x, "labelled training images"),
        y: (y, "test top-1 error, %"),
    });
    for (index, (kind, points)) in kinds.iter().enumerate() {
        chart.series(index, Some(kind), |chart| {
            let line: Vec<(f64, f64)> = points.iter().map(|point| (point.0, point.1)).collect();
            let style = format!("stroke-width='2' stroke-dasharray='{}'", dash(index));
            chart.line(&line, &style, "");
            for &(images, mean, low, high) in points {
                chart.line(&[(images, low), (images, high)], "", "");
                let title = format!("{kind}, {images} images: {mean:.2} % [{low:.2}, {high:.2}]");
                chart.point((images, mean), 3.0, &title, None);
            }
        });
    }
    Some(chart.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::tests::report;

    #[test]
    fn kinds_of_arms_are_lines_over_the_number_of_images() {
        let mut report = report(&["scratch", "tuned", "scratch, 10", "tuned, 10"], 1);
        assert_eq!(svg(&report), None);
        report.arms[2].training_images = 10;
        report.arms[3].training_images = 10;
        let svg = svg(&report).unwrap();
        assert_eq!(svg.matches("stroke-width='2'").count(), 2, "{svg}");
        assert!(svg.contains("tuned, 10 images: 45.00 % [40.00, 50.00]") && !svg.contains("NaN"), "{svg}");
    }
}
