//! Studies of the same ablation, scale and runs that were computed elsewhere, side by side.

use std::collections::BTreeMap;

use alexnet_study::statistics::mean_and_sd;

use super::markup::{cell, head, table};
use super::section::measured;
use crate::chart::escaped;
use crate::report::{ArmReport, Report};

/// Returns a section for each group of at least two studies.
pub(super) fn html(reports: &[&Report]) -> String {
    let mut groups: BTreeMap<Vec<&str>, Vec<&Report>> = BTreeMap::new();
    for &report in reports {
        // The folder of a run depends on config, images and seed, and on no backend.
        let runs = report.arms.iter().flat_map(|arm| &arm.runs).map(|run| run.folder.as_str());
        let key = [report.ablation.as_str(), report.scale.as_str()].into_iter().chain(runs);
        groups.entry(key.collect()).or_default().push(report);
    }
    groups.values().filter(|group| group.len() > 1).map(|group| compared(group)).collect()
}

/// Returns the means of each arm, and the mean differences by seed from the first of the reports.
fn compared(reports: &[&Report]) -> String {
    let [first, others @ ..] = reports else { return String::new() };
    let names: Vec<&str> = reports.iter().map(|report| report.backend.as_str()).collect();
    let differences: Vec<String> = names[1..].iter().map(|name| format!("{name} − {}", names[0])).collect();
    let heads =
        ["arm"].into_iter().chain(names.iter().copied()).chain(differences.iter().map(String::as_str));
    let heads: Vec<(&str, &str)> = heads.map(|text| ("", text)).collect();
    let mut rows = String::new();
    for arm in &first.arms {
        let of = |report: &&Report| report.arms.iter().find(|other| other.name == arm.name).cloned();
        let values = reports.iter().map(|report| mean(of(report).as_ref()));
        let gaps = others.iter().map(|report| gap(arm, of(report).as_ref()));
        let cells: String = values.chain(gaps).map(|text| cell("number", &text)).collect();
        rows += &format!("<tr>{}{cells}</tr>\n", head("row", "", &arm.name));
    }
    format!(
        "<section class='backends'>\n<h1>{} across backends</h1>\n\
         <p class='subject'>the same arms and seeds on {}; {}</p>\n{}</section>\n",
        escaped(&first.ablation),
        escaped(&names.join(", ")),
        measured(first),
        table("backends", "Backends", &heads, &rows),
    )
}

fn mean(arm: Option<&ArmReport>) -> String {
    match arm.map(|arm| (arm.mean, arm.sd)) {
        Some((Some(mean), Some(sd))) => format!("{mean:.2} ± {sd:.2}"),
        Some((Some(mean), None)) => format!("{mean:.2}"),
        _ => "–".to_owned(),
    }
}

/// Returns the mean of `other` minus `arm` over the seeds that both have.
fn gap(arm: &ArmReport, other: Option<&ArmReport>) -> String {
    let others = other.map(|other| other.values.as_slice()).unwrap_or_default();
    let pairs = arm.values.iter().zip(others).filter_map(|(&value, &other)| Some(other? - value?));
    let gaps: Vec<f64> = pairs.collect();
    if gaps.is_empty() { "–".to_owned() } else { format!("{:+.2}", mean_and_sd(&gaps).0) }
}
