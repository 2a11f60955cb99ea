//! Paired differences: a row for each arm, with its mean, its intervals and its seeds as points.

use crate::chart::{Axis, Chart, Frame};
use crate::report::{ArmReport, Report};

/// Returns the chart for a page, or `None` if the base is the only arm. The ids of the rows of runs begin
/// with `section`.
pub(crate) fn svg(report: &Report, section: &str) -> Option<String> {
    let arms = report.arms.get(1..).filter(|arms| !arms.is_empty())?;
    let mut values = Vec::new();
    for arm in arms {
        values.extend([-report.delta_of(arm), report.delta_of(arm)]);
        values.extend(seeds(report, arm).into_iter().flatten());
        values.extend(arm.paper);
        if let Some(found) = &arm.difference {
            values.push(found.mean);
            let intervals = [found.interval_95, found.interval_adjusted];
            values.extend(intervals.into_iter().flatten().flat_map(|(low, high)| [low, high]));
        }
    }
    let count = arms.len() as f64;
    let mut rows = Axis::linear([0.0, count]);
    rows.ticks.clear();
    let unit = if report.unit == "%" { "percentage points" } else { report.unit };
    let mut chart = Chart::new(Frame {
        class: "forest",
        label: "Paired differences; the table above has the numbers",
        title: None,
        margins: [170.0, 16.0],
        height: 46.0 * count,
        x: (Axis::rounded(values), &format!("Δ vs. {}, {unit}", reference(report))),
        y: (rows, ""),
    });
    let zone = "class='zone' fill='#0072b2' fill-opacity='0.1'";
    for (place, arm) in arms.iter().enumerate() {
        let (delta, top) = (report.delta_of(arm), count - place as f64);
        chart.band(&[(-delta, top), (delta, top)], &[(-delta, top - 1.0), (delta, top - 1.0)], zone);
    }
    chart.line(&[(0.0, 0.0), (0.0, count)], "class='zero' stroke='#5b6168'", "");
    for (place, arm) in arms.iter().enumerate() {
        let (index, y) = (place + 1, count - place as f64 - 0.5);
        chart.row(y, &arm.name);
        chart.series(index, None, |chart| {
            row(chart, report, arm, y);
            for (run, value) in seeds(report, arm).into_iter().enumerate() {
                let Some(value) = value else { continue };
                let title = format!("{}, seed {}: {value:+.2}", arm.name, arm.runs[run].seed);
                chart.point((value, y - 0.3), 5.0, &title, Some(&format!("{section}-{index}-{run}")));
            }
        });
    }
    Some(chart.finish())
}

/// Returns with what arms are compared.
pub(crate) fn reference(report: &Report) -> &str {
    match report.arms.iter().any(|arm| arm.against.is_some()) {
        true => "its reference",
        false => report.arms.first().map_or("", |base| base.name.as_str()),
    }
}

/// Draws the mean of an arm, its intervals and the paper's figure at a height.
fn row(chart: &mut Chart, report: &Report, arm: &ArmReport, y: f64) {
    let Some(found) = &arm.difference else {
        let reason = arm.not_applicable.as_deref().unwrap_or("no pair of runs");
        return chart.note((f64::NEG_INFINITY, y), reason);
    };
    if let Some(paper) = arm.paper {
        let data = report.claim.as_ref().map_or("other data", |claim| claim.data.as_str());
        let title = format!("the paper, on {data}: {paper:+.1}");
        let style = "class='paper' stroke='black' stroke-width='2' stroke-dasharray='3 3'";
        chart.line(&[(paper, y - 0.4), (paper, y + 0.4)], style, &title);
    }
    if let Some((low, high)) = found.interval_adjusted.filter(|_| found.is_adjusted()) {
        chart.line(&[(low, y), (high, y)], "class='adjusted'", "");
    }
    let mut title = format!("{}: {:+.2}", arm.name, found.mean);
    if let Some((low, high)) = found.interval_95 {
        title += &format!(" [{low:+.2}, {high:+.2}]");
        let [left, right] = [low, high].map(|end| [(end, y - 0.13), (end, y + 0.13)]);
        for line in [[(low, y), (high, y)], left, right] {
            chart.line(&line, "stroke-width='3'", "");
        }
    }
    chart.square((found.mean, y), &title);
}

/// Returns the difference of each seed, absent if one of the two runs has no value.
fn seeds(report: &Report, arm: &ArmReport) -> Vec<Option<f64>> {
    let reference = report.arms.iter().find(|other| Some(&other.name) == arm.against.as_ref());
    let pairs = arm.values.iter().zip(&reference.unwrap_or(&report.arms[0]).values);
    pairs.map(|(&value, &reference)| Some(value? - reference?)).collect()
}

#[cfg(test)]
mod tests {
    use alexnet_study::statistics::Difference;

    use super::*;
    use crate::curves::tests::report;

    #[test]
    fn each_row_is_shaded_by_the_delta_of_its_arm() {
        let mut report = report(&["on", "off", "half"], 1);
        report.arms[1].delta = Some(2.0 * report.delta);
        let svg = svg(&report, "run-0").unwrap();
        let zones: Vec<f64> = svg
            .split("<polygon points='")
            .skip(1)
            .map(|zone| {
                let x = |point: &str| {
                    point.trim_start_matches(['M', 'L']).split(',').next().unwrap().parse::<f64>().unwrap()
                };
                let points: Vec<f64> = zone.split('\'').next().unwrap().split(' ').map(x).collect();
                points.iter().copied().fold(f64::MIN, f64::max)
                    - points.iter().copied().fold(f64::MAX, f64::min)
            })
            .collect();
        assert!(zones.len() == 2 && (zones[0] / zones[1] - 2.0).abs() < 0.01, "{zones:?}");
    }

    #[test]
    fn rows_have_intervals_and_a_point_for_each_pair() {
        let mut report = report(&["on", "off", "half"], 1);
        report.arms[1].values = vec![Some(41.0), None];
        report.arms[1].difference = Difference::of(&[1.0, 2.0, 4.0], 0.5, 0.025);
        report.arms[1].paper = Some(1.4);
        report.arms[2].values.clear();
        let svg = svg(&report, "run-0").unwrap();
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");
        assert!(svg.contains("href='#run-0-1-0'") && svg.contains("off, seed 0: +1.00"), "{svg}");
        for expected in ["class='adjusted'", "the paper, on on: +1.4", "no pair of runs", "Δ vs. on, per"] {
            assert!(svg.contains(expected), "no `{expected}` in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_base_alone_has_no_differences() {
        assert_eq!(svg(&report(&["on"], 1), "run-0"), None);
        assert_eq!(svg(&report(&[], 1), "run-0"), None);
    }
}
