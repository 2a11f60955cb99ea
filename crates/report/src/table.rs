//! The report as a table for terminals, with notes below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use alexnet_study::ablation::Quantity;
use alexnet_study::design::AfterLook;
use alexnet_study::statistics::{Difference, LEVEL, Verdict};
use alexnet_study::versions::Version;

use crate::report::{ArmReport, Report};
use crate::run::RunReport;

impl Report {
    /// Returns a line about a look of a design.
    pub fn progress(&self, number: usize, of: usize, seeds: usize) -> String {
        let arms = self.arms.iter().skip(1).filter(|arm| arm.not_applicable.is_none());
        let arms: Vec<String> =
            arms.map(|arm| format!("{} {}", arm.name, arm.verdict_text(self.delta))).collect();
        format!("look {number} of {of}, at {seeds} seeds: {}", arms.join("; "))
    }

    /// Returns the table, at most 80 columns wide if arms have short names.
    pub fn table(&self) -> String {
        let base = &self.arms[0].name;
        let (measured, digits) = match self.quantity {
            Quantity::TestError => ("test top-1 error, %".to_owned(), 2),
            Quantity::ValidationError => ("validation top-1 error, %".to_owned(), 2),
            Quantity::TrainingError => ("training top-1 error, %".to_owned(), 2),
            Quantity::EpochsToTrainingError => ("epochs".to_owned(), 2),
            Quantity::LogStepsToTrainingError => ("ln steps".to_owned(), 2),
        };
        let mut rows = vec![[
            "arm".to_owned(),
            measured,
            format!("Δ vs. `{base}` [95 % CI]"),
            "adjusted".to_owned(),
            if self.claim.is_some() { "paper*" } else { "" }.to_owned(),
            "verdict".to_owned(),
        ]];
        for (index, arm) in self.arms.iter().enumerate() {
            rows.push(arm.row(index == 0, self.delta, digits));
        }
        let mut text = format!("\n{}\n{}\n\n", self.question, self.subject());
        text += &aligned(&rows);
        if let Some(claim) = &self.claim {
            text += &wrapped(&format!("* {}: {}, on {}.", claim.section, claim.text, claim.data), "  ");
        }
        for line in self.tests().iter().chain(&self.notes()) {
            text += &wrapped(line, "  ");
        }
        text
    }

    /// Returns the notes on the arms that their rows do not show.
    pub fn notes(&self) -> Vec<String> {
        let against =
            self.arms.iter().filter_map(|arm| Some(format!("{} with {}", arm.name, arm.against.as_ref()?)));
        let against: Vec<String> = against.collect();
        let compared = (!against.is_empty()).then(|| {
            format!("Compared with another arm than `{}`: {}.", self.arms[0].name, against.join("; "))
        });
        let of_arms = self.arms.iter().flat_map(|arm| arm.notes(self.varies_lrn));
        compared.into_iter().chain(of_arms).chain(self.versions()).collect()
    }

    /// Returns which code and machine computed how many of the runs.
    fn versions(&self) -> Vec<String> {
        let runs: BTreeMap<&str, &RunReport> =
            self.arms.iter().flat_map(|arm| &arm.runs).map(|run| (run.folder.as_str(), run)).collect();
        let mut counts: BTreeMap<&BTreeSet<Version>, usize> = BTreeMap::new();
        for run in runs.into_values().filter(|run| !run.versions.is_empty()) {
            *counts.entry(&run.versions).or_default() += 1;
        }
        let one = counts.len() == 1;
        let line = |(versions, runs): (&BTreeSet<Version>, usize)| {
            let text: Vec<String> = versions.iter().map(Version::text).collect();
            let runs = if one { String::new() } else { format!(" ({runs} runs)") };
            format!("Computed by {}{runs}.", text.join(", then "))
        };
        let mut lines: Vec<String> = counts.iter().map(|(versions, runs)| line((versions, *runs))).collect();
        if counts.keys().any(|versions| versions.iter().any(|version| version.results.is_none())) {
            lines.push(
                "Runs from before results were numbered: that they are of the same code is taken from its commit."
                    .to_owned(),
            );
        }
        lines
    }

    /// Returns the supplementary tests, one per line.
    pub fn tests(&self) -> Vec<String> {
        let tested: Vec<(&str, &Difference)> =
            self.arms.iter().filter_map(|arm| Some((arm.name.as_str(), arm.difference.as_ref()?))).collect();
        let tested: Vec<_> = tested.into_iter().filter(|(_, difference)| difference.is_tested()).collect();
        let listed = |of: &dyn Fn(&Difference) -> Option<String>| {
            let said =
                tested.iter().filter_map(|(name, difference)| Some(format!("{name} {}", of(difference)?)));
            said.collect::<Vec<_>>().join(", ")
        };
        let mut lines: Vec<String> = self.level_line().into_iter().collect();
        let p = listed(&|difference| {
            let (p, corrected) = (difference.p?, difference.p_holm?);
            Some(if tested.len() == 1 { small(p) } else { format!("{} → {}", small(p), small(corrected)) })
        });
        let holm = match tested.len() {
            1 => String::new(),
            arms => format!(", after Holm's correction over {arms} arms"),
        };
        lines.push(format!("Paired t test, p{holm}: {p}."));
        let level = LEVEL / tested.len().max(1) as f64;
        let flips: Vec<_> = tested.iter().filter_map(|(_, difference)| difference.sign_flip).collect();
        if flips.iter().any(|flip| flip.p.is_some()) {
            let p = listed(&|difference| {
                Some(difference.sign_flip?.p.map_or("off (too few seeds)".to_owned(), small))
            });
            lines.push(format!("Sign-flip test, p (the smallest is tested at {level:.3}): {p}."));
        } else if let Some(flip) = flips.first() {
            let smallest = flips.iter().map(|flip| flip.smallest).fold(flip.smallest, f64::min);
            let seeds = tested.iter().map(|(_, difference)| difference.seeds).max().unwrap_or_default();
            lines.push(format!(
                "Sign-flip test not shown: {seeds} seeds cannot reach p < {smallest:.3}, and the level is {level:.3}."
            ));
        }
        for (what, of) in [
            (
                "Bootstrap over seeds",
                (|difference| difference.bootstrap) as fn(&Difference) -> Option<(f64, f64)>,
            ),
            ("Bootstrap over seeds and test images", |difference| difference.crossed_bootstrap),
        ] {
            lines.push(format!(
                "{what}, 95 %: {}.",
                listed(&|difference| of(difference).map(|(low, high)| format!("[{low:+.2}, {high:+.2}]")))
            ));
        }
        lines.retain(|line| !line.ends_with(": ."));
        lines
    }

    /// Returns a line on the levels of the verdicts.
    fn level_line(&self) -> Option<String> {
        let percent = |share: f64| {
            let text = format!("{:.2}", 100.0 * share);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        if let Some(design) = &self.design {
            let seeds: Vec<String> = design.looks.iter().map(|look| look.seeds.to_string()).collect();
            let level: Vec<String> = design.looks.iter().map(|look| percent(1.0 - look.level)).collect();
            return Some(format!(
                "Looks fixed in advance, at {} seeds. Verdicts use the adjusted intervals, {} %: 5 % are divided over {} arm(s) \
                 and, in proportion to their seeds, over the looks.",
                seeds.join(", "),
                level.join(", "),
                design.arms,
            ));
        }
        let level = self.arms.iter().find_map(|arm| Some(arm.difference.as_ref()?.level))?;
        (level < LEVEL).then(|| {
            format!(
                "Verdicts use the adjusted intervals, {} %, and {} % for a difference smaller than {}: 5 % are divided over {:.0} arms.",
                percent(1.0 - level),
                percent(1.0 - 2.0 * level),
                self.common_delta().map_or("δ".to_owned(), |delta| delta.to_string()),
                LEVEL / level,
            )
        })
    }

    /// Returns the measured quantity, for the axis of a chart.
    pub fn subject(&self) -> String {
        let seeds = self.seeds.len();
        format!(
            "`{}` at scale `{}` on {}, {seeds} seed{}, {}",
            self.ablation,
            self.scale,
            self.data,
            if seeds == 1 { "" } else { "s" },
            self.backend,
        )
    }
}

impl ArmReport {
    /// Returns the verdict in words, with its qualifications.
    fn verdict_text(&self, delta: f64) -> String {
        let seeds = self.difference.as_ref().map_or(0, |difference| difference.seeds);
        let Some(verdict) = self.verdict else { return "no pair of runs".to_owned() };
        let mut text = verdict.text(self.delta.unwrap_or(delta), seeds);
        if verdict != Verdict::NotCompared {
            let mixed = (!self.mixed.is_empty()).then_some("mixed versions");
            let interim = self.interim.then_some("interim");
            for mark in self.after_look.map(AfterLook::text).into_iter().chain(interim).chain(mixed) {
                text += ", ";
                text += mark;
            }
        }
        text
    }

    /// Returns the row: name, value, difference with its 95 % interval, adjusted interval, paper's figure,
    /// verdict.
    pub fn row(&self, base: bool, delta: f64, digits: usize) -> [String; 6] {
        let bound = if self.never_reached > 0 { "> " } else { "" };
        let value = match (&self.not_applicable, self.mean, self.sd) {
            (Some(_), ..) => "not applicable".to_owned(),
            (_, Some(mean), Some(sd)) => format!("{bound}{mean:.digits$} ± {sd:.digits$}"),
            (_, Some(mean), None) => format!("{bound}{mean:.digits$}"),
            _ => "no finished run".to_owned(),
        };
        let none = String::new;
        if let Some(reason) = &self.not_applicable {
            return [self.name.clone(), value, none(), none(), none(), reason.clone()];
        }
        if base {
            return [self.name.clone(), value, none(), none(), none(), none()];
        }
        let interval = |interval: Option<(f64, f64)>| {
            interval.map_or(none(), |(low, high)| {
                // Decimals of such an interval say nothing, and would not fit into 80 columns.
                let digits = if low.abs().max(high.abs()) < 100.0 { digits } else { 0 };
                format!("[{low:+.digits$}, {high:+.digits$}]")
            })
        };
        let difference = self.difference.as_ref().map_or(none(), |difference| {
            let raw = interval(difference.interval_95);
            format!("{bound}{:+.digits$} {raw}", difference.mean).trim_end().to_owned()
        });
        let adjusted = self.difference.as_ref().filter(|difference| difference.is_adjusted());
        let adjusted = adjusted.map_or(none(), |difference| interval(difference.interval_adjusted));
        let paper = match (self.paper, self.paper_ratio) {
            (Some(paper), _) => format!("{paper:+.1}"),
            (None, Some(ratio)) => format!("{ratio:.0}×"),
            (None, None) => none(),
        };
        let ratio = self.ratio.map_or(none(), |ratio| format!("; ratio {bound}{ratio:.1}"));
        [self.name.clone(), value, difference, adjusted, paper, self.verdict_text(delta) + &ratio]
    }

    /// Returns the notes on the arm that its row does not show.
    fn notes(&self, with_lrn: bool) -> Vec<String> {
        let mut notes = Vec::new();
        for run in &self.runs {
            if let Some(failure) = &run.failure {
                notes.push(format!("{}, seed {}: {failure}", self.name, run.seed));
            }
        }
        if let Some(look) = self.look.filter(|_| self.verdict.is_some_and(Verdict::is_decided)) {
            notes.push(format!(
                "{}: decided at the look at {look} seeds, whose difference this is.",
                self.name
            ));
        }
        if !self.mixed.is_empty() {
            let how = match self.verdict {
                Some(Verdict::NotCompared) => "`--mixed-versions` compares them all the same",
                _ => "compared all the same, as `--mixed-versions` asks",
            };
            notes.push(format!("{}: its runs differ in {}; {how}.", self.name, self.mixed.join(", ")));
        }
        if let Some(after) = self.after_look {
            notes.push(format!(
                "{}: {}: a table with another number of seeds was made before, so that its interval is no longer what it \
                 says; `--until-decided` fixes looks in advance.",
                self.name,
                after.text(),
            ));
        }
        if self.never_reached > 0 {
            notes.push(format!(
                "{}: {} run(s) did not reach the target; the last epoch counts, so the mean{} a lower bound.",
                self.name,
                self.never_reached,
                if self.ratio.is_some() { " and the ratio are each" } else { " is" },
            ));
        }
        if with_lrn && !self.lrn.is_empty() {
            let layers = self.lrn.iter().map(|lrn| {
                let constant = if lrn.acted_as_constant() { ", acted as a constant" } else { "" };
                format!("{} {:.3} ({:.3}{constant})", lrn.layer, lrn.median, lrn.percentile_95)
            });
            notes.push(format!(
                "{}: median (95th percentile) of alpha·S/k in LRN: {}.",
                self.name,
                layers.collect::<Vec<_>>().join(", "),
            ));
        }
        notes
    }
}

/// Aligns rows under their header. If lines would exceed 80 columns, the last cell of each row goes on its
/// own line. Omits the adjusted intervals if they are empty, and a column without a header.
fn aligned(rows: &[[String; 6]]) -> String {
    let is_shown = |column: &usize| match column {
        3 => rows[1..].iter().any(|row| !row[3].is_empty()),
        _ => !rows[0][*column].is_empty(),
    };
    let shown: Vec<usize> = (0..5).filter(is_shown).collect();
    let length = |text: &str| text.chars().count();
    let width = |column: usize| rows.iter().map(|row| length(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = shown.iter().map(|&column| width(column)).collect();
    let before = widths.iter().map(|width| width + 2).sum::<usize>();
    let below = rows.iter().any(|row| !row[5].is_empty() && before + length(&row[5]) > 80);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (&column, width) in shown.iter().zip(&widths) {
            let _ = write!(line, "{:<width$}  ", row[column]);
        }
        if !below {
            line += &row[5];
        }
        text += line.trim_end();
        text.push('\n');
        if below && !row[5].is_empty() {
            let _ = writeln!(text, "{:indent$}{}", "", row[5], indent = widths[0] + 2);
        }
    }
    text
}

/// Formats a p value with three digits.
fn small(p: f64) -> String {
    if p < 0.001 { "below 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Wraps `text` to lines of at most 80 columns and indents all but the first.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 80 {
            out.push('\n');
            out += indent;
            width = indent.len();
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out += word;
        width += length;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_at_most_80_columns_and_no_empty_one() {
        let row = |cells: [&str; 6]| cells.map(str::to_owned);
        let head =
            row(["arm", "test top-1 error, %", "Δ vs. `on` [95 % CI]", "adjusted", "paper*", "verdict"]);
        let short = row(["off", "19.37 ± 1.05", "+1.95 [-0.12, +4.02]", "", "+1.4", "lower"]);
        let table = aligned(&[head.clone(), short]);
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(
            table.lines().nth(1).unwrap().ends_with("+1.4    lower") && !table.contains("adjusted"),
            "{table}"
        );
        let own = row(["arm", "test top-1 error, %", "Δ vs. `on` [95 % CI]", "adjusted", "", "verdict"]);
        let short = row(["off", "19.37 ± 1.05", "+1.95 [-0.12, +4.02]", "", "", "higher"]);
        assert!(aligned(&[own, short]).ends_with("+4.02]  higher\n"));
        let adjusted = row([
            "gain-only",
            "17.60 ± 0.52",
            "+0.17 [-0.35, +0.70]",
            "[-0.49, +0.84]",
            "",
            "undecided: about 49 seeds needed",
        ]);
        let base = row(["on", "17.42 ± 0.83", "", "", "", ""]);
        let table = aligned(&[head, base, adjusted]);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 5, "{table}");
        assert_eq!(
            (lines[1], lines[4]),
            ("           verdict", "           undecided: about 49 seeds needed")
        );
    }
}
