//! An audit as a page: one forest plot of all statements, then the table.

use std::path::Path;

use super::markdown::{interval, number, signed, unit};
use super::{AuditReport, Comparison, StatementReport};
use crate::chart::{Axis, Chart, Frame, escaped};
use crate::figure::{Figure, FinishedFigure};
use crate::page::document;
use crate::page::markup::{encoded, head, table};

/// Differences further out than this, in units of delta, are drawn at the edge.
const FARTHEST: f64 = 8.0;

impl AuditReport {
    /// Returns `audit.html` for `folder`, with links to the reports of ablations that exist there.
    pub(super) fn html(&self, folder: &Path) -> String {
        let title = escaped(&format!("audit {}", self.audit));
        let counts: Vec<String> =
            self.counts().into_iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        let chart = self.chart().map_or(String::new(), |(svg, _)| {
            format!(
                "<figure>\n{svg}</figure>\n<p class='note'>Right of 0: as the paper says. Each difference is divided by \
                 its δ, the difference that counts as none (shaded). Squares are means over seeds, thick lines their 95 % \
                 t intervals, thin ones the adjusted intervals of the verdicts; dashed: the paper's effect, relative to \
                 this base. A square leads to its statement.</p>\n"
            )
        });
        let main = format!(
            "<section aria-labelledby='title'>\n<h1 id='title'>{}</h1>\n<p class='subject'>{} statements: {}; \
             results {}</p>\n{chart}{}</section>\n",
            escaped(&self.about),
            self.statements.len(),
            escaped(&counts.join(", ")),
            self.results,
            self.table(folder),
        );
        document(&title, "", "", &main)
    }

    fn table(&self, folder: &Path) -> String {
        let heads = [
            "§",
            "statement",
            "the paper",
            "setting",
            "difference, adjusted interval",
            "δ",
            "seeds",
            "verdict",
        ];
        let heads: Vec<(&str, &str)> = heads.iter().map(|text| ("", *text)).collect();
        let mut rows = String::new();
        for statement in &self.statements {
            rows += &row(statement, folder);
        }
        table("statements", "Statements", &heads, &rows)
    }

    /// Returns the statements that have an interval as a figure.
    pub fn figure(&self) -> Option<FinishedFigure> {
        let mut figure = Figure::new("Verdicts on the paper's statements");
        let (svg, plot) = self.chart()?;
        figure.embed(0.0, &svg, plot);
        Some(figure.finish(&format!(
            "{}: {} statements, of which those with an interval are drawn. Right of 0: as the paper says. Each difference is divided by \
             its δ, the difference that counts as none (shaded). Squares: means over seeds; thick lines: 95 % intervals; thin lines: \
             the adjusted intervals, which give the verdicts; dashed: the paper's effect, relative to this base.",
            self.about,
            self.statements.len(),
        )))
    }

    /// Draws the statements that have an interval. Also returns the height of the plot.
    fn chart(&self) -> Option<(String, f64)> {
        let tested: Vec<(&StatementReport, &Comparison)> = self
            .statements
            .iter()
            .filter_map(|statement| Some((statement, statement.comparison.as_ref()?)))
            .filter(|(_, found)| found.difference.is_some())
            .collect();
        let mut values = vec![-2.0, 2.0];
        for (statement, found) in &tested {
            let scaled = Scaled::of(statement, found);
            values.extend(scaled.paper);
            values.push(scaled.mean);
            values.extend([scaled.raw, scaled.adjusted].into_iter().flatten().flatten());
        }
        if tested.is_empty() {
            return None;
        }
        let values = values.into_iter().map(|value| value.clamp(-FARTHEST, FARTHEST));
        let count = tested.len() as f64;
        let plot = 30.0 * count;
        let mut rows = Axis::linear([0.0, count]);
        rows.ticks.clear();
        let mut chart = Chart::new(Frame {
            class: "forest",
            label: "Differences in units of delta; the table below has the numbers",
            title: None,
            margins: [190.0, 130.0],
            height: plot,
            x: (Axis::rounded(values), "difference / δ, positive as the paper says"),
            y: (rows, ""),
        });
        let zone = "class='zone' fill='#0072b2' fill-opacity='0.1'";
        chart.band(&[(-1.0, count), (1.0, count)], &[(-1.0, 0.0), (1.0, 0.0)], zone);
        chart.line(&[(0.0, 0.0), (0.0, count)], "class='zero' stroke='#5b6168'", "");
        for (place, (statement, found)) in tested.iter().enumerate() {
            let y = count - place as f64 - 0.5;
            chart.row(y, &statement.id);
            let index = match statement.verdict() {
                "same direction" => 0,
                "opposite direction" => 1,
                "smaller than delta" => 2,
                _ => 4,
            };
            chart.series(index, None, |chart| draw(chart, statement, found, y));
            chart.aside(y, statement.verdict());
        }
        Some((chart.finish(), plot))
    }
}

/// A comparison in units of delta, positive in the direction of the statement.
struct Scaled {
    mean: f64,
    raw: Option<[f64; 2]>,
    adjusted: Option<[f64; 2]>,
    paper: Option<f64>,
}

impl Scaled {
    fn of(statement: &StatementReport, found: &Comparison) -> Self {
        let scale = |value: f64| value * f64::from(found.direction.sign()) / found.delta;
        let both = |[low, high]: [f64; 2]| {
            let (one, other) = (scale(low), scale(high));
            [one.min(other), one.max(other)]
        };
        Self {
            mean: scale(found.difference.unwrap_or(0.0)),
            raw: found.interval.map(both),
            adjusted: found.adjusted_interval.map(both),
            paper: statement.paper_difference.map(scale),
        }
    }
}

fn draw(chart: &mut Chart, statement: &StatementReport, found: &Comparison, y: f64) {
    let scaled = Scaled::of(statement, found);
    if let Some(paper) = scaled.paper {
        let style = "class='paper' stroke='black' stroke-width='2' stroke-dasharray='3 3'";
        let title = format!("the paper: {}", statement.paper);
        chart.line(&[(paper, y - 0.4), (paper, y + 0.4)], style, &title);
    }
    if let Some([low, high]) = scaled.adjusted {
        chart.line(&[(low, y), (high, y)], "class='adjusted'", "");
    }
    let title =
        format!("{}: {} {}", statement.text, signed(found.difference), interval(found.adjusted_interval));
    if let Some([low, high]) = scaled.raw {
        chart.line(&[(low, y), (high, y)], "stroke-width='3'", "");
    }
    chart.linked_square((scaled.mean, y), &title, &statement.id);
}

fn row(statement: &StatementReport, folder: &Path) -> String {
    let StatementReport { id, section, text, paper, comparison, .. } = statement;
    let cell = |class: &str, html: &str| format!("<td class='{class}'>{html}</td>");
    let cells = match comparison {
        Some(found) => {
            let page = format!("audits/{}/report/index.html", found.design.name);
            let setting = format!("{}, {} against {}", found.setting, found.arm, found.base);
            let setting = match folder.join(&page).is_file() {
                true => format!("<a href='{}'>{}</a>", encoded(&page), escaped(&setting)),
                false => escaped(&setting),
            };
            let seeds = match found.complete {
                true => found.seeds.to_string(),
                false => format!("{} of {}", found.seeds, found.registered),
            };
            let difference =
                format!("{} {}{}", signed(found.difference), interval(found.adjusted_interval), unit(found));
            [
                cell("", &setting),
                cell("number", &escaped(&difference)),
                cell("number", &number(found.delta)),
                cell("number", &seeds),
                cell("", &format!("<strong>{}</strong>", escaped(statement.verdict()))),
            ]
            .concat()
        }
        None => {
            let why = statement.untested.as_deref().unwrap_or_default();
            cell("", "")
                + &cell("", "")
                + &cell("", "")
                + &cell("", "")
                + &cell("", &escaped(&format!("not tested: {why}")))
        }
    };
    format!(
        "<tr id='{}'>{}{}{}{cells}</tr>\n",
        escaped(id),
        head("row", "", section),
        cell("", &escaped(text)),
        cell("", &escaped(paper)),
    )
}
