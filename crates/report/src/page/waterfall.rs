//! Several ideas, from the base to all of them together: what each brings alone and what it brings to the others, as a waterfall
//! and as a table.

use alexnet_study::statistics::Difference;

use super::markup::{cell, head, table};
use crate::chart::{Axis, Chart, Frame};
use crate::report::{ArmReport, Report};

/// The height of a row, in pixels.
const ROW: f64 = 24.0;

/// Half the height of a bar, as a share of its row.
const HALF: f64 = 0.3;

/// The ideas of an arm that tries several together.
struct Waterfall<'a> {
    /// The base's name and mean.
    base: (&'a str, f64),
    ideas: Vec<Idea<'a>>,
    all: &'a ArmReport,
}

struct Idea<'a> {
    name: &'a str,
    /// The arm with this idea alone, compared with the base.
    alone: Option<&'a ArmReport>,
    /// The arm with all ideas but this one, compared with all of them.
    left_out: Option<&'a ArmReport>,
}

impl<'a> Waterfall<'a> {
    /// Returns the first arm of a report that tries several together, with what is known of each.
    fn of(report: &'a Report) -> Option<Self> {
        let [base, arms @ ..] = report.arms.as_slice() else { return None };
        let all = arms.iter().find(|arm| !arm.together.is_empty() && arm.against.is_none())?;
        let idea = |name: &'a String| Idea {
            name,
            alone: arms.iter().find(|arm| arm.name == *name && arm.against.is_none()),
            left_out: arms
                .iter()
                .find(|arm| arm.without.as_ref() == Some(name) && arm.against.as_ref() == Some(&all.name)),
        };
        Some(Self { base: (&base.name, base.mean?), ideas: all.together.iter().map(idea).collect(), all })
    }

    /// Returns the sum of the base's mean and of the differences of the first ideas.
    fn sum(&self, ideas: usize) -> f64 {
        self.base.1 + self.ideas[..ideas].iter().filter_map(Idea::gain).sum::<f64>()
    }

    fn svg(&self, measured: &str) -> String {
        let (base, ideas) = (self.base.1, self.ideas.len());
        let end = self.all.difference.as_ref().map(|found| base + found.mean);
        let left_out: Vec<&ArmReport> = self.ideas.iter().filter_map(|idea| idea.left_out).collect();
        let below = if left_out.is_empty() { 0 } else { left_out.len() + 1 };
        let count = (ideas + 3 + below) as f64;
        let mut rows = Axis::linear([0.0, count]);
        rows.ticks.clear();
        let mut chart = Chart::new(Frame {
            class: "waterfall",
            label: "From the base to all ideas together, one by one; the table below has the numbers",
            title: None,
            margins: [170.0, 70.0],
            height: ROW * count,
            x: (self.axis(end, &left_out), measured),
            y: (rows, ""),
        });
        let at = |row: usize| count - row as f64 - 0.5;
        chart.row(at(0), self.base.0);
        chart.series(0, None, |chart| chart.square((base, at(0)), &format!("{}: {base:.2}", self.base.0)));
        chart.aside(at(0), &format!("{base:.2}"));
        for (place, idea) in self.ideas.iter().enumerate() {
            let (from, to) = (self.sum(place), self.sum(place + 1));
            step(&mut chart, from, at(place));
            chart.row(at(place + 1), idea.name);
            bar(&mut chart, idea.alone, Some(from), at(place + 1));
            if place + 1 == ideas {
                step(&mut chart, to, at(place + 1));
            }
        }
        let sum = self.sum(ideas);
        chart.row(at(ideas + 1), "their sum");
        chart.series(0, None, |chart| chart.square((sum, at(ideas + 1)), &format!("their sum: {sum:.2}")));
        chart.aside(at(ideas + 1), &format!("{sum:.2}"));
        chart.row(at(ideas + 2), &self.all.name);
        bar(&mut chart, Some(self.all), Some(base), at(ideas + 2));
        if let Some(end) = end.filter(|_| below > 0) {
            let line = [(end, at(ideas + 2) - HALF), (end, 0.0)];
            chart.line(&line, "class='zero' stroke='#5b6168'", "");
        }
        for (place, arm) in left_out.iter().enumerate() {
            let y = at(ideas + 4 + place);
            chart.row(y, &arm.name);
            bar(&mut chart, Some(arm), end, y);
        }
        chart.finish()
    }

    /// Returns an axis for all bars. Intervals are cut half the bars' way beyond them, and at 0.
    fn axis(&self, end: Option<f64>, left_out: &[&ArmReport]) -> Axis {
        let alone = self.ideas.iter().enumerate().map(|(place, idea)| (idea.alone, self.sum(place)));
        let others = left_out.iter().filter_map(|arm| Some((Some(*arm), end?)));
        let bars: Vec<(&Difference, f64)> = alone
            .chain([(Some(self.all), self.base.1)])
            .chain(others)
            .filter_map(|(arm, from)| Some((arm?.difference.as_ref()?, from)))
            .collect();
        let ends = bars.iter().flat_map(|(found, from)| [*from, from + found.mean]);
        let (low, high) =
            ends.fold((self.base.1, self.base.1), |(low, high), it| (low.min(it), high.max(it)));
        let room = (high - low) / 2.0;
        let [low, high] = [(low - room).max(low.min(0.0)), high + room];
        let reached = bars.iter().flat_map(|&(found, from)| {
            let ends = intervals(found).into_iter().flatten().flat_map(|(low, high)| [low, high]);
            ends.chain([0.0, found.mean]).map(move |value| from + value)
        });
        Axis::rounded(reached.chain([self.base.1]).map(|value| value.clamp(low, high)))
    }

    fn table(&self) -> String {
        let heads = [
            "idea",
            "year and source",
            "alone [95 %]",
            "sum so far",
            "left out of all [95 %]",
            "time per step",
        ];
        let heads: Vec<(&str, &str)> = heads.iter().map(|text| ("", *text)).collect();
        let mut rows = String::new();
        for (place, idea) in self.ideas.iter().enumerate() {
            let about = idea.alone.map_or("", |arm| &arm.about);
            let sum = format!("{:.2}", self.sum(place + 1));
            rows += &row(idea.name, about, [&text(idea.alone), &sum, &text(idea.left_out)], idea.alone);
        }
        let all = self.all.difference.as_ref();
        let sum = all.map_or(String::new(), |found| format!("{:.2}", self.base.1 + found.mean));
        rows += &row(&self.all.name, &self.all.about, [&text(Some(self.all)), &sum, ""], Some(self.all));
        table("ideas", "Ideas", &heads, &rows)
    }
}

impl Idea<'_> {
    fn gain(&self) -> Option<f64> {
        Some(self.alone?.difference.as_ref()?.mean)
    }
}

/// Returns the section on the ideas that an arm tries together, or nothing if there is no such arm.
pub(super) fn html(report: &Report, measured: &str) -> String {
    let Some(waterfall) = Waterfall::of(report) else { return String::new() };
    format!(
        "<h3>From {base} to {all}, idea by idea</h3>\n<figure>\n{}</figure>\n\
         <p class='note'>Each bar is what one idea changes alone, put where the one above it ends; <em>their sum</em> is where \
         all of them would lead if they added up, and <em>{all}</em> is where they lead together. Below, each idea is left out of <em>{all}</em>: a \
         bar to the right is what it brings to the others. Green is a lower value, orange a higher one. Thick lines are 95 % t \
         intervals of the differences over seeds, thin ones the adjusted intervals of the verdicts; one that ends at an edge goes \
         on beyond it. The time of a step of the idea alone is divided by the base's.</p>\n{}",
        waterfall.svg(measured),
        waterfall.table(),
        base = crate::chart::escaped(waterfall.base.0),
        all = crate::chart::escaped(&waterfall.all.name),
    )
}

/// Returns a row of the table.
fn row(name: &str, about: &str, [alone, sum, left_out]: [&str; 3], arm: Option<&ArmReport>) -> String {
    let time = arm.and_then(|arm| arm.step_time).map_or(String::new(), |time| format!("{time:.2}"));
    format!(
        "<tr>{}{}{}</tr>\n",
        head("row", "", name),
        cell("", about),
        [alone, sum, left_out, &time].map(|text| cell("number", text)).concat()
    )
}

/// Returns an arm's difference with its 95 % interval.
fn text(arm: Option<&ArmReport>) -> String {
    let found = arm.and_then(|arm| arm.difference.as_ref());
    found.map_or(String::new(), |found| match found.interval_95 {
        Some((low, high)) => format!("{:+.2} [{low:+.2}, {high:+.2}]", found.mean),
        None => format!("{:+.2}", found.mean),
    })
}

/// Returns the 95 % interval, and the adjusted one if it is another.
fn intervals(found: &Difference) -> [Option<(f64, f64)>; 2] {
    [found.interval_95, found.interval_adjusted.filter(|_| found.is_adjusted())]
}

/// Draws the difference of an arm as a bar from a value, with its intervals.
fn bar(chart: &mut Chart, arm: Option<&ArmReport>, from: Option<f64>, y: f64) {
    let Some((found, from)) = arm.and_then(|arm| arm.difference.as_ref()).zip(from) else {
        return chart.aside(y, "no pair");
    };
    let to = from + found.mean;
    chart.series(if found.mean < 0.0 { 2 } else { 1 }, None, |chart| {
        let edge = |y: f64| [(from, y), (to, y)];
        chart.band(&edge(y + HALF), &edge(y - HALF), "stroke='none' fill-opacity='0.4'");
        for (interval, width) in intervals(found).into_iter().zip(["3", "1"]) {
            let Some((low, high)) = interval else { continue };
            let style = format!("stroke-width='{width}'");
            chart.line(&[(from + low, y), (from + high, y)], &style, &text(arm));
        }
        chart.line(&[(to, y - HALF), (to, y + HALF)], "stroke-width='3'", &text(arm));
    });
    chart.aside(y, &format!("{:+.2}", found.mean));
}

/// Draws the way from the row at a height to the one below.
fn step(chart: &mut Chart, x: f64, y: f64) {
    let line = [(x, y - HALF), (x, y - 1.0 + HALF)];
    chart.line(&line, "class='zero' stroke='#5b6168' stroke-dasharray='2 3'", "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::tests::report;

    fn ideas() -> Report {
        let mut report = report(&["2012", "gelu", "cosine", "all", "without-gelu"], 1);
        for (place, pairs) in
            [[-1.0, -1.2, -1.1], [0.5, 0.3, 0.4], [-0.8, -0.9, -1.0], [0.6, 0.7, 0.8]].iter().enumerate()
        {
            report.arms[place + 1].difference = Difference::of(pairs, 0.5, 0.0125);
        }
        report.arms[1].step_time = Some(1.25);
        report.arms[3].together = vec!["gelu".to_owned(), "cosine".to_owned()];
        report.arms[4].without = Some("gelu".to_owned());
        report.arms[4].against = Some("all".to_owned());
        report
    }

    #[test]
    fn ideas_add_up_from_the_base() {
        let report = ideas();
        let waterfall = Waterfall::of(&report).unwrap();
        let sums = [0, 1, 2].map(|ideas| format!("{:.2}", waterfall.sum(ideas)));
        assert_eq!(sums, ["45.00", "43.90", "44.30"]);
        let html = html(&report, "test top-1 error, %");
        assert_eq!(html.matches("<polygon").count(), 4, "a bar for each arm: {html}");
        for expected in ["-1.10 [", "1.25", ">44.10</td>", "+0.70 [", "without-gelu", "From 2012 to all"] {
            assert!(html.contains(expected), "no `{expected}` in {html}");
        }
        assert!(!html.contains("NaN"), "{html}");
    }

    #[test]
    fn what_is_missing_has_no_bar() {
        let mut report = ideas();
        report.arms[2].difference = None;
        report.arms[3].difference = None;
        let html = html(&report, "error");
        assert_eq!(html.matches("<polygon").count(), 1, "nothing to stand on for what is left out: {html}");
        assert_eq!(html.matches(">no pair</text>").count(), 3, "{html}");
    }

    #[test]
    fn arms_that_try_nothing_together_have_none() {
        assert_eq!(html(&report(&["on", "off"], 1), "error"), "");
        assert_eq!(html(&report(&[], 1), "error"), "");
    }
}
