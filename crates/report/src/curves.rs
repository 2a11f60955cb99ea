//! Learning curves: for each arm the mean error over seeds, its standard deviation and, in a page, the seeds.

use std::collections::BTreeMap;

use alexnet_study::ablation::Quantity;
use alexnet_study::statistics::mean_and_sd;
use alexnet_train::EpochRow;

use crate::chart::{Axis, Chart, Frame, dash};
use crate::report::{ArmReport, Report};
use crate::run::epochs_at;

/// A choice of axes and data. The names are also CSS classes of the chart and values of the page's controls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// `both` (training and validation), `validation`, `train` or `train-evaluated`.
    pub(crate) split: &'static str,
    /// `epochs`, `time` or `images`.
    pub(crate) x: &'static str,
    /// `linear` or `log`.
    pub(crate) y: &'static str,
}

/// Training and validation in one chart, so that overfitting is seen.
pub(crate) const BOTH: &str = "both";

impl View {
    /// Returns the view that belongs to the quantity by which arms are compared.
    pub(crate) fn of(quantity: Quantity) -> Self {
        let split = match quantity {
            Quantity::TestError | Quantity::ValidationError => BOTH,
            Quantity::TrainingError | Quantity::EpochsToTrainingError | Quantity::LogStepsToTrainingError => {
                "train-evaluated"
            }
        };
        Self { split, x: "epochs", y: "linear" }
    }
}

/// The curves of one arm. The errors are in percent.
#[derive(Default)]
struct Curves {
    runs: Vec<Vec<(f64, f64)>>,
    mean: Vec<(f64, f64)>,
    /// The mean plus and minus the standard deviation.
    upper: Vec<(f64, f64)>,
    lower: Vec<(f64, f64)>,
}

/// Returns the split of training images that is shown beside validation: in evaluation mode, if there is one.
fn training(report: &Report) -> &'static str {
    let mut rows = report.arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| &run.rows);
    if rows.any(|row| row.split == "train-evaluated") { "train-evaluated" } else { "train" }
}

impl Curves {
    fn of(arm: &ArmReport, view: View) -> Self {
        let mut curves = Self::default();
        let mut steps: BTreeMap<usize, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        for run in &arm.runs {
            let points = points(&run.rows, arm, view);
            for &(step, x, error) in &points {
                let (xs, errors) = steps.entry(step).or_default();
                xs.push(x);
                errors.push(error);
            }
            curves.runs.push(points.into_iter().map(|(_, x, error)| (x, error)).collect());
        }
        for (xs, errors) in steps.values() {
            let ((x, _), (mean, sd)) = (mean_and_sd(xs), mean_and_sd(errors));
            let sd = sd.unwrap_or(0.0);
            curves.mean.push((x, mean));
            curves.upper.push((x, mean + sd));
            curves.lower.push((x, (mean - sd).max(0.0)));
        }
        curves
    }
}

/// Returns step, place on the horizontal axis and error of the rows of a run.
fn points(rows: &[EpochRow], arm: &ArmReport, view: View) -> Vec<(usize, f64, f64)> {
    let mut seconds = 0.0;
    let mut points = Vec::new();
    for row in rows {
        if row.split == "train" {
            seconds += row.seconds;
        }
        if row.split == view.split {
            let epochs = epochs_at(row, arm.steps_per_epoch);
            let x = match view.x {
                "time" => seconds,
                "images" => epochs * arm.training_images as f64,
                _ => epochs,
            };
            points.push((row.step, x, 100.0 * row.top1_error));
        }
    }
    points
}

/// Returns the chart as a file of its own.
pub(crate) fn svg(report: &Report) -> String {
    chart(report, View::of(report.quantity), None)
}

/// Returns the chart. In a page it has no title, and the curve of every run ends in a link to its row. The ids
/// of these rows begin with `section`.
pub(crate) fn chart(report: &Report, view: View, section: Option<&str>) -> String {
    let both = view.split == BOTH;
    let split = if both { "validation" } else { view.split };
    let arms: Vec<Curves> = report.arms.iter().map(|arm| Curves::of(arm, View { split, ..view })).collect();
    let beside: Vec<Curves> = match both {
        true => {
            report.arms.iter().map(|arm| Curves::of(arm, View { split: training(report), ..view })).collect()
        }
        false => Vec::new(),
    };
    let threshold = (split == "train-evaluated").then_some(report.threshold).flatten();
    let lines = arms.iter().flat_map(|arm| arm.runs.iter().chain([&arm.upper, &arm.lower]));
    let lines = lines.chain(beside.iter().map(|arm| &arm.mean));
    let points: Vec<(f64, f64)> = lines.flatten().copied().collect();
    let (least, across) = match view.x {
        "time" => ([0.0, 1.0], "seconds of training"),
        "images" => ([0.0, 1.0], "images"),
        _ => ([1.0, 2.0], "epoch"),
    };
    let mut x = Axis::linear(points.iter().map(|point| point.0).chain(least));
    if view.x == "epochs" {
        x.ticks.retain(|tick| tick.fract() == 0.0);
    }
    let errors = points.iter().map(|point| point.1).chain(threshold);
    let y = if view.y == "log" { Axis::logarithmic(errors) } else { Axis::rounded(errors) };
    let up = match view.split {
        BOTH => "top-1 error, %",
        "validation" => "validation top-1 error, %",
        "train" => "training top-1 error as seen, %",
        _ => "training top-1 error, %",
    };
    let subject = format!(
        "`{}` at scale `{}` on {}; mean and standard deviation of {} seed(s){}",
        report.ablation,
        report.scale,
        report.data,
        report.seeds.len(),
        if both { "; dotted: training images" } else { "" },
    );
    let mut chart = Chart::new(Frame {
        class: &format!("curves {} {} {}", view.split, view.x, view.y),
        label: &format!("Learning curves: {up}, by {across}"),
        title: section.is_none().then_some([report.question.as_str(), subject.as_str()]),
        margins: [64.0, 200.0],
        height: f64::max(320.0, 20.0 * arms.len() as f64),
        x: (x, across),
        y: (y, up),
    });
    if points.is_empty() {
        chart.note((0.0, 0.5), "nothing to draw");
    }
    if let (Some(at), Some(left), Some(right)) = (
        threshold,
        points.iter().map(|point| point.0).reduce(f64::min),
        points.iter().map(|point| point.0).reduce(f64::max),
    ) {
        let style = "class='threshold' stroke='#5b6168' stroke-width='1.5' stroke-dasharray='2 4'";
        chart.line(&[(left, at), (right, at)], style, &format!("{at} % training error"));
    }
    for (index, (arm, curves)) in report.arms.iter().zip(&arms).enumerate() {
        let note = if curves.mean.is_empty() { " (not trained)" } else { "" };
        chart.series(index, Some(&format!("{}{note}", arm.name)), |chart| {
            chart.band(&curves.upper, &curves.lower, "stroke='none' opacity='0.15'");
            if let Some(section) = section {
                chart.group("class='seed'", |chart| {
                    seeds(chart, arm, curves, &format!("{section}-{index}"));
                });
            }
            let dashes = dash(index);
            let style = format!("stroke-width='2.5' stroke-dasharray='{dashes}' pointer-events='none'");
            // After one epoch a seed is a point, and their mean would be one more.
            if curves.mean.len() > 1 || section.is_none() {
                chart.line(&curves.mean, &style, "");
            }
            if let Some(training) = beside.get(index).filter(|training| training.mean.len() > 1) {
                chart.line(
                    &training.mean,
                    "stroke-width='2' stroke-dasharray='2 3' pointer-events='none'",
                    "",
                );
            }
        });
    }
    chart.finish()
}

/// Draws the curve of every run, and a point at its end that leads to the row of the run.
fn seeds(chart: &mut Chart, arm: &ArmReport, curves: &Curves, rows: &str) {
    for (place, (run, points)) in arm.runs.iter().zip(&curves.runs).enumerate() {
        let Some(&end) = points.last() else { continue };
        if points.len() > 1 {
            chart.line(points, "opacity='0.45'", "");
        }
        let title = format!("{}, seed {}: {:.2} %", arm.name, run.seed, end.1);
        chart.point(end, 4.0, &title, Some(&format!("{rows}-{place}")));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alexnet_study::ablation::Claim;

    use super::*;
    use crate::run::RunReport;

    /// Returns a report of arms with these names, two seeds and this number of epochs.
    pub(crate) fn report(arms: &[&str], epochs: usize) -> Report {
        let row = |epoch: usize, split: &str, error: f64| EpochRow {
            epoch,
            step: epoch,
            split: split.to_owned(),
            loss: 1.0,
            top1_error: error / epoch as f64,
            top5_error: 0.0,
            learning_rate: 0.01,
            seconds: 2.0,
        };
        let run = |arm: usize, seed: u64| {
            let mut run = RunReport::new(&format!("run {arm}#{seed}"), seed);
            let error = 0.4 + 0.1 * seed as f64;
            run.rows = (1..=epochs)
                .flat_map(|epoch| [row(epoch, "train", error), row(epoch, "validation", error)])
                .collect();
            run.test_top1_error = Some(error);
            run.begun = true;
            run
        };
        let arm = |(place, name): (usize, &&str)| ArmReport {
            name: (*name).to_owned(),
            about: (*name).to_owned(),
            parameters: 1_234_567,
            training_images: 100,
            steps_per_epoch: 1,
            against: None,
            together: Vec::new(),
            without: None,
            step_time: None,
            not_applicable: None,
            values: vec![Some(40.0), Some(50.0)],
            mean: Some(45.0),
            sd: Some(7.07),
            never_reached: 0,
            difference: None,
            ratio: None,
            delta: None,
            paper: None,
            paper_ratio: None,
            verdict: None,
            look: None,
            after_look: None,
            interim: false,
            versions: Vec::new(),
            mixed: Vec::new(),
            lrn: Vec::new(),
            runs: vec![run(place, 0), run(place, 1)],
        };
        let text = || arms.first().copied().unwrap_or_default().to_owned();
        Report {
            ablation: "lrn".to_owned(),
            question: text(),
            claim: Some(Claim { text: text(), section: "§3.3".to_owned(), data: text() }),
            quantity: Quantity::TestError,
            unit: "%",
            delta: 0.5,
            scale: "mini".to_owned(),
            data: text(),
            checksum: String::new(),
            backend: "flex".to_owned(),
            code_version: String::new(),
            seeds: vec![0, 1],
            design: None,
            mixed_versions: false,
            varies_lrn: true,
            threshold: None,
            arms: arms.iter().enumerate().map(arm).collect(),
        }
    }

    fn views() -> impl Iterator<Item = View> {
        let axes = [("epochs", "linear"), ("time", "log"), ("images", "linear")];
        axes.into_iter().flat_map(|(x, y)| [BOTH, "validation", "train"].map(|split| View { split, x, y }))
    }

    #[test]
    fn a_chart_has_a_line_for_each_run_and_mean() {
        for view in views() {
            let svg = chart(&report(&["on", "off"], 4), view, Some("run-0"));
            let lines = if view.split == BOTH { 2 * 4 } else { 2 * 3 };
            assert_eq!(svg.matches("<polyline").count(), lines, "{view:?}");
            assert!(svg.contains("href='#run-0-1-1'") && svg.contains("off, seed 1: 12.50 %"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let file = svg(&report(&["on", "off"], 4));
        assert_eq!(file.matches("<polyline").count(), 4, "validation and training");
        assert!(file.contains("2 seed(s)") && !file.contains("href"), "{file}");
    }

    #[test]
    fn training_lies_beside_validation_and_the_threshold_across() {
        let mut report = report(&["on", "off"], 4);
        let both = chart(&report, View { split: BOTH, x: "epochs", y: "linear" }, None);
        // Of each arm the mean on validation images and on training images.
        assert_eq!(
            (both.matches("<polyline").count(), both.matches("stroke-dasharray='2 3'").count()),
            (4, 2)
        );
        report.threshold = Some(25.0);
        let rows = report.arms.iter_mut().flat_map(|arm| &mut arm.runs).flat_map(|run| &mut run.rows);
        rows.filter(|row| row.split == "train").for_each(|row| row.split = "train-evaluated".to_owned());
        let evaluated = chart(&report, View { split: "train-evaluated", x: "epochs", y: "linear" }, None);
        assert!(
            evaluated.contains("class='threshold'") && evaluated.contains("25 % training error"),
            "{evaluated}"
        );
    }

    #[test]
    fn one_epoch_is_points_and_none_is_said() {
        for view in views() {
            let one = chart(&report(&["on"], 1), view, Some("run-0"));
            assert!(!one.contains("<polyline"), "{one}");
            assert_eq!(one.matches("<circle").count(), 2, "a point for each seed: {one}");
            let none = chart(&report(&["on"], 0), view, Some("run-0"));
            assert!(none.contains("nothing to draw") && none.contains("on (not trained)"), "{none}");
            assert!(!(one + &none).contains("NaN"));
        }
        let nobody = svg(&report(&[], 3));
        assert!(nobody.contains("nothing to draw") && nobody.ends_with("</svg>\n"), "{nobody}");
    }
}
