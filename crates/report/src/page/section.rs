//! The section of a study: question, verdicts and charts.

use std::collections::BTreeSet;

use alexnet_study::ablation::Quantity;

use super::markup::{cell, head, table};
use super::{Section, waterfall};
use crate::chart::{colour, escaped};
use crate::curves::{self, BOTH, View};
use crate::report::Report;
use crate::{forest, label_efficiency};

impl Section {
    /// Returns the section with this number on the page.
    pub(super) fn html(&self, index: usize) -> String {
        let report = &self.report;
        let runs = || report.arms.iter().flat_map(|arm| &arm.runs);
        let (all, missing) = (runs().count(), runs().filter(|run| run.failure.is_some()).count());
        let missing = match missing {
            0 => String::new(),
            _ => format!(
                "<p class='missing' role='note'>{missing} of {all} runs have no result; \
                 the table of runs says why.</p>\n"
            ),
        };
        let rows = format!("run-{index}");
        let lines: Vec<String> = report.tests().into_iter().chain(report.notes()).collect();
        let notes: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
        let differences = forest::svg(report, &rows).map_or(String::new(), |svg| {
            format!(
                "<h3>Paired differences</h3>\n<figure>\n{svg}</figure>\n\
                 <p class='note'>Squares are means over seeds, thick lines their 95 % t intervals, thin ones \
                 the adjusted intervals of the verdicts, points single seeds (those with a value); \
                 shaded: {}, which counts as no difference; dashed: the paper. A point leads to its \
                 run.</p>\n",
                report.common_delta().map_or("±δ of each arm".to_owned(), |delta| format!("±{delta}")),
            )
        });
        let claim = report.claim.as_ref().map_or(String::new(), |claim| {
            format!(
                "<blockquote>{}<footer>Krizhevsky et al. 2012, {}; on {}</footer></blockquote>\n",
                escaped(&claim.text),
                escaped(&claim.section),
                escaped(&claim.data),
            )
        });
        let star = match report.claim {
            Some(_) => {
                "<p class='note'>* Another network on another data set: to look at, not tested against.</p>\n"
            }
            None => "",
        };
        let labels = label_efficiency::chart(report, false).map_or(String::new(), |svg| {
            format!("<h3>Error by number of labels</h3>\n<figure>\n{svg}</figure>\n")
        });
        format!(
            "<section id='study-{index}' aria-labelledby='title-{index}'>\n\
             <h1 id='title-{index}'>{}</h1>\n<p class='subject'>{}, {all} runs</p>\n{missing}\
             {claim}<h3>Verdict</h3>\n{}{star}{}{differences}<ul class='note'>\n{notes}</ul>\n{}{labels}{}</section>\n",
            escaped(&report.question),
            escaped(&report.subject()),
            verdicts(report),
            waterfall::html(report, measured(report)),
            views(report, &rows),
            self.table_of_runs(index),
        )
    }
}

/// Returns what the values of arms are, with the unit.
pub(super) fn measured(report: &Report) -> &'static str {
    match report.quantity {
        Quantity::TestError => "test top-1 error, %",
        Quantity::ValidationError => "validation top-1 error, %",
        Quantity::TrainingError => "training top-1 error, %",
        Quantity::EpochsToTrainingError => "epochs",
        Quantity::LogStepsToTrainingError => "ln steps",
    }
}

/// Returns the table of arms.
fn verdicts(report: &Report) -> String {
    let arms = report.arms.iter().enumerate();
    let rows: Vec<[String; 6]> = arms.map(|(place, arm)| arm.row(place == 0, report.delta, 2)).collect();
    let is_adjusted = rows.iter().any(|[_, _, _, adjusted, ..]| !adjusted.is_empty());
    let difference = format!("Δ vs. {} [95 % CI]", forest::reference(report));
    let mut heads = vec![("", "arm"), ("", measured(report)), ("", difference.as_str())];
    heads.extend(is_adjusted.then_some(("", "adjusted")));
    heads.push(("", "p, Holm"));
    heads.extend(report.claim.is_some().then_some(("", "paper*")));
    heads.extend(["verdict", "parameters", "time per step"].map(|text| ("", text)));
    let mut body = String::new();
    for (arm, [name, value, difference, adjusted, paper, verdict]) in report.arms.iter().zip(&rows) {
        let p = arm.difference.as_ref().and_then(|found| found.p_holm);
        let p = p.map_or(String::new(), |p| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") });
        let mut cells = vec![("number", value), ("number", difference)];
        cells.extend(is_adjusted.then_some(("number", adjusted)));
        let parameters = grouped(arm.parameters);
        cells.push(("number", &p));
        cells.extend(report.claim.is_some().then_some(("number", paper)));
        let time = arm.step_time.map_or(String::new(), |time| format!("{time:.2} ×"));
        cells.extend([("", verdict), ("number", &parameters), ("number", &time)]);
        let cells: String = cells.into_iter().map(|(class, text)| cell(class, text)).collect();
        body += &format!("<tr title='{}'>{}{cells}</tr>\n", escaped(&arm.about), head("row", "", name));
    }
    table("arms", "Arms", &heads, &body)
}

/// Returns the learning curves in every view, of which the style sheet shows the one that is chosen.
fn views(report: &Report, rows: &str) -> String {
    let first = View::of(report.quantity);
    let mut epochs = report.arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| &run.rows);
    let mut splits =
        vec![(BOTH, "training and validation"), ("validation", "validation"), ("train", "training, as seen")];
    if epochs.any(|row| row.split == "train-evaluated") {
        splits.push(("train-evaluated", "training, evaluated"));
    }
    let mut axes = vec![("epochs", "epochs"), ("time", "time")];
    // With the same number for all arms, images are epochs in another unit.
    if report.arms.iter().map(|arm| arm.training_images).collect::<BTreeSet<_>>().len() > 1 {
        axes.push(("images", "images"));
    }
    let scales = [("linear", "linear"), ("log", "logarithmic")];
    let mut charts = String::new();
    for &(split, _) in &splits {
        for &(x, _) in &axes {
            for (y, _) in scales {
                charts += &curves::chart(report, View { split, x, y }, Some(rows));
            }
        }
    }
    let mut arms = String::new();
    for (arm, found) in report.arms.iter().enumerate() {
        arms += &format!(
            "<label><input type='checkbox' class='toggle-{arm}' style='accent-color: {}' checked> \
             {}</label>\n",
            colour(arm),
            escaped(&found.name),
        );
    }
    format!(
        "<h3>Learning curves</h3>\n<div class='views'>\n<div class='controls'>\n{}{}{}\
         <label><input type='checkbox' class='every-seed' checked> every seed</label>\n</div>\n\
         <div class='controls' role='group' aria-label='Arms shown'>\n{arms}</div>\n\
         <figure>\n{charts}</figure>\n</div>\n\
         <p class='note'>Thick lines are means, bands one standard deviation, over the seeds still in \
         training. An end leads to its run. Dotted: training images, {}, where both are shown{}.</p>\n",
        select("Top-1 error on", &splits, first.split),
        select("by", &axes, first.x),
        select("scale", &scales, first.y),
        match splits.len() {
            4.. => "in evaluation mode",
            _ => "as seen in training, with augmentation and dropout",
        },
        report
            .threshold
            .map_or_else(String::new, |at| format!("; across, where training errors are alone: {at} %")),
    )
}

fn select(label: &str, options: &[(&str, &str)], chosen: &str) -> String {
    let option = |&(value, text): &(&str, &str)| {
        let selected = if value == chosen { " selected" } else { "" };
        format!("<option value='{value}'{selected}>{text}</option>")
    };
    format!("<label>{label} <select>{}</select></label>\n", options.iter().map(option).collect::<String>())
}

/// Formats a number with a comma before every three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok());
    groups.collect::<Vec<_>>().join(",")
}
