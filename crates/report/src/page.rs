//! The report as one offline page: `page/page.html` with its style, its script and the data.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use alexnet_train::EpochRow;
use anyhow::{Context, Result};
use serde::Serialize;

use crate::report::Report;
use alexnet_config::{Difference, differences, plain_values};
use alexnet_study::Study;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// A page of one or more studies.
pub struct Page {
    sections: Vec<Section>,
}

/// One study of a page.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    report: Report,
    subject: String,
    /// The supplementary tests and further notes, in words.
    tests: Vec<String>,
    notes: Vec<String>,
    arms: Vec<ArmSection>,
    training_images: usize,
    /// The folder of the runs, as a link from the page.
    runs: String,
    #[serde(skip)]
    out: PathBuf,
}

#[derive(Debug, Clone, Serialize)]
struct ArmSection {
    verdict: String,
    /// The differences from the base's config to this arm's.
    differences: Vec<Difference>,
    config: BTreeMap<String, String>,
    /// The curves, one per run.
    curves: Vec<Curves>,
}

/// The epochs of a run. Each is an epoch, the seconds of training so far, and the top-1 error in percent.
#[derive(Debug, Clone, Serialize)]
struct Curves {
    train: Vec<[f64; 3]>,
    train_evaluated: Vec<[f64; 3]>,
    validation: Vec<[f64; 3]>,
}

impl Curves {
    fn of(rows: &[EpochRow]) -> Self {
        let mut curves = Self { train: Vec::new(), train_evaluated: Vec::new(), validation: Vec::new() };
        let mut seconds = 0.0;
        let rounded = |value: f64, digits: i32| (value * 10f64.powi(digits)).round() / 10f64.powi(digits);
        for row in rows {
            let of = match row.split.as_str() {
                "train" => {
                    seconds += row.seconds;
                    &mut curves.train
                }
                "train-evaluated" => &mut curves.train_evaluated,
                "validation" => &mut curves.validation,
                _ => continue,
            };
            of.push([row.epoch as f64, rounded(seconds, 2), rounded(100.0 * row.top1_error, 3)]);
        }
        curves
    }
}

impl Section {
    /// Creates the section of a study from its report and the curves of its runs.
    pub fn of(study: &Study, report: Report, out: &Path) -> Result<Self> {
        let base = &study.arms[0].config;
        let mut arms = Vec::new();
        for (arm, found) in study.arms.iter().zip(&report.arms) {
            let [.., verdict] = found.row(std::ptr::eq(arm, &study.arms[0]), study.delta, 2);
            let mut config = plain_values(&arm.config)?;
            config.insert("data.set".to_owned(), study.data.clone()); // it may be the path of a manifest
            arms.push(ArmSection {
                verdict,
                differences: differences(base, &arm.config)?,
                config,
                curves: found.runs.iter().map(|run| Curves::of(&run.rows)).collect(),
            });
        }
        Ok(Self {
            subject: report.subject(),
            tests: report.tests(),
            notes: report.notes(),
            training_images: study.training_images,
            runs: String::new(),
            out: out.to_owned(),
            report,
            arms,
        })
    }
}

impl Page {
    /// Creates a page of these sections.
    pub fn of(sections: Vec<Section>) -> Self {
        Self { sections }
    }

    /// Writes `index.html`, and the same data as `report.json` and `runs.csv`.
    pub fn write(mut self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
        let here = folder.canonicalize().with_context(|| folder.display().to_string())?;
        for section in &mut self.sections {
            let out = section.out.canonicalize().with_context(|| section.out.display().to_string())?;
            section.runs = relative(&here, &out);
        }
        let reports: Vec<&Report> = self.sections.iter().map(|section| &section.report).collect();
        let json = match reports.as_slice() {
            [report] => serde_json::to_string_pretty(report)?,
            _ => serde_json::to_string_pretty(&reports)?,
        };
        for (name, text) in
            [("index.html", self.html()?), ("report.json", json + "\n"), ("runs.csv", csv(&reports))]
        {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn html(&self) -> Result<String> {
        let names: Vec<String> =
            self.sections.iter().map(|section| section.report.ablation.clone()).collect();
        let tables: String = self.sections.iter().map(|section| escaped(&section.report.table())).collect();
        // Only `<` could end a script element.
        let data = serde_json::to_string(&self.sections)?.replace('<', "\\u003c");
        let title = escaped(&format!("{} · alexnet-burn", names.join(", ")));
        let fill = |mark: &str| match mark {
            "title" => title.as_str(),
            "style" => STYLE,
            "tables" => tables.as_str(),
            "script" => SCRIPT,
            "data" => data.as_str(),
            _ => "",
        };
        // The template `text {{mark}} text {{mark}} text` is split once, so that inserted text is never taken
        // for a mark.
        let mut parts = HTML.split("{{");
        let mut html = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (mark, text) = part.split_once("}}").unwrap_or_default();
            html += fill(mark);
            html += text;
        }
        Ok(html)
    }
}

/// Returns the rows of several reports, each with its ablation and scale, whose names need no quotes.
fn csv(reports: &[&Report]) -> String {
    let [first, ..] = reports else { return String::new() };
    if reports.len() == 1 {
        return first.csv();
    }
    let mut csv = String::new();
    for report in reports {
        let rows = report.csv_rows();
        if csv.is_empty() {
            csv += &format!("ablation,scale,{}", rows[0]);
        }
        rows[1..].iter().for_each(|row| csv += &format!("{},{},{row}", report.ablation, report.scale));
    }
    csv
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the relative path from one absolute folder to another, as a link with a trailing slash.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let down = to[shared..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let path = up.chain(down).collect::<Vec<_>>().join("/");
    if path.is_empty() { "./".to_owned() } else { path + "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_page_to_runs() {
        let link = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(link("/a/runs/ablations/lrn/report", "/a/runs"), "../../../");
        assert_eq!(link("/a/page", "/a/runs"), "../runs/");
        assert_eq!(link("/a", "/a"), "./");
    }
}
