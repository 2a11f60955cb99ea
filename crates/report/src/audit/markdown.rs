//! An audit as Markdown: verdicts first, then the numbers behind them.

use std::fmt::Write as _;

use super::{AuditReport, Comparison, StatementReport};

impl AuditReport {
    /// Returns `audit.md`.
    pub fn markdown(&self) -> String {
        let mut text = format!("# The audit `{}`\n\n{}\n\n", self.audit, self.about);
        let counts: Vec<String> =
            self.counts().into_iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        let _ = write!(text, "{} statements: {}.\n\n", self.statements.len(), counts.join(", "));
        text += "A difference is the arm's value minus the base's, the mean over paired seeds, with the interval that gives \
                 the verdict: adjusted for the arms (and looks) of its design, which was fixed before these seeds were \
                 trained. δ is the difference that counts as none.\n\n";
        text += "| § | statement | the paper | setting | difference | δ | verdict |\n|---|---|---|---|---|---|---|\n";
        for statement in &self.statements {
            let row = match &statement.comparison {
                Some(found) => [
                    found.setting.clone(),
                    format!("{} {}", signed(found.difference), interval(found.adjusted_interval))
                        + unit(found),
                    number(found.delta),
                    format!("**{}**", statement.verdict()),
                ],
                None => ["", "", "", "not tested"].map(str::to_owned),
            };
            let StatementReport { id, section, text: what, paper, .. } = statement;
            let _ = writeln!(
                text,
                "| {} | <a id=\"{id}\"></a>{} | {} | {} |",
                cell(section),
                cell(what),
                cell(paper),
                row.map(|part| cell(part.trim())).join(" | "),
            );
        }
        text += "\n## The numbers\n\n| statement | arm, base | seeds | base | arm | 95 % interval | correlation | p | false discovery rate | \
                 power | training error, base and arm | design |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        for statement in &self.statements {
            if let Some(found) = &statement.comparison {
                let _ = writeln!(
                    text,
                    "| {} | {} |",
                    cell(&statement.id),
                    row(found).map(|part| cell(&part)).join(" | ")
                );
            }
        }
        text += "\nValues are means ± standard deviations over seeds. The correlation is that of paired values: where it is \
                 negative, pairing widens the interval. The false discovery rate is Benjamini and Hochberg's over all \
                 statements. Power is the probability of detecting twice δ, by the spread in the pilot.\n";
        let untested: Vec<&StatementReport> =
            self.statements.iter().filter(|statement| statement.untested.is_some()).collect();
        if !untested.is_empty() {
            text += "\n## Not tested\n\n";
            for statement in untested {
                let why = statement.untested.as_deref().unwrap_or_default();
                let _ = writeln!(text, "- {}, {} {}", statement.section, statement.text, why);
            }
        }
        text += "\n## Settings\n\n| setting | data | backend | runs | hours of one run at a time |\n|---|---|---|---|---|\n";
        for (name, setting) in &self.settings {
            let backends: Vec<&str> = setting.backends.iter().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "| {name} | {}, checksum {} | {} | {} | {:.1} |",
                setting.data,
                setting.checksum.get(..12).unwrap_or(&setting.checksum),
                backends.join(", "),
                setting.runs,
                setting.hours,
            );
        }
        text += "\n## Designs\n\n";
        for (name, design) in &self.designs {
            let looks = if design.looks { ", with looks at 4, 8, 16, … seeds" } else { "" };
            let _ = writeln!(
                text,
                "- `{name}`: `{}` at `{}`, {} seeds from {}{looks}. {}",
                design.ablation,
                design.scale,
                design.seeds,
                design.first_seed,
                design.about.trim(),
            );
        }
        let _ = writeln!(
            text,
            "\nResults version {}. Made by `experiments audit {}`, which first trains what is missing; `--budget 0` trains nothing.",
            self.results, self.audit
        );
        text
    }
}

/// Returns the cells of the numbers behind a verdict.
fn row(found: &Comparison) -> [String; 11] {
    let value =
        |value: Option<[f64; 2]>| value.map_or("–".to_owned(), |[mean, sd]| format!("{mean:.2} ± {sd:.2}"));
    let left_out = match found.left_out {
        0 => String::new(),
        seeds => format!(", {seeds} left out"),
    };
    let seeds = match found.complete {
        true => format!("{}{left_out}", found.seeds),
        false => format!("{} of {} so far", found.seeds, found.registered),
    };
    let rate = |rate: Option<f64>| rate.map_or("–".to_owned(), small);
    let commit = found.design.commit.as_ref().map_or(String::new(), |commit| format!(" {commit}"));
    [
        format!("{}, {}", found.arm, found.base),
        seeds,
        value(found.base_value),
        value(found.arm_value),
        interval(found.interval),
        found.correlation.map_or("–".to_owned(), |correlation| signed(Some(correlation))),
        rate(found.p),
        rate(found.false_discovery_rate),
        format!("{:.0} %", 100.0 * found.power),
        found.training_error.map_or("–".to_owned(), |[base, arm]| format!("{base:.2}, {arm:.2}")),
        format!("`{}`{commit}", found.design.name),
    ]
}

pub(super) fn unit(found: &Comparison) -> &'static str {
    match found.unit.as_str() {
        "points" => "",
        "ln steps" => " ln steps",
        _ => " epochs",
    }
}

pub(super) fn signed(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:+.2}").replace('-', "−"))
}

pub(super) fn interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or(String::new(), |[low, high]| format!("[{}, {}]", signed(Some(low)), signed(Some(high))))
}

/// Formats a positive number with at most two decimals.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn small(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Makes a text fit into a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
