//! The page of runs: curves, confusions, pictures and configs.

use alexnet_train::EpochRow;

use super::{RunsPage, SingleRun};
use crate::chart::{Axis, Chart, Frame, escaped};
use crate::page::document;
use crate::page::markup::{cell, encoded, head, table};

/// The number of classes up to which the whole matrix of confusions is shown.
const MATRIX: usize = 20;

/// The number of pairs that are listed for more classes.
const PAIRS: usize = 25;

/// Splits with the dashes of their curves.
const SPLITS: [(&str, &str); 3] = [("train", "2 3"), ("train-evaluated", "8 3 2 3"), ("validation", "none")];

impl RunsPage {
    /// Returns the page. `pictures` are titles and file names.
    pub(super) fn html(&self, pictures: &[(String, String)]) -> String {
        let title = match self.runs.as_slice() {
            [one] => escaped(one.called.as_ref().unwrap_or(&one.name)),
            all => format!("{} runs", all.len()),
        };
        let facts: String = self.runs.iter().map(|run| facts(run, self.runs.len() > 1)).collect();
        let confusions: String = self.runs.iter().map(|run| confusions(run, self.runs.len() > 1)).collect();
        let pictures: String = pictures
            .iter()
            .map(|(title, file)| {
                let (title, file) = (escaped(title), encoded(file));
                format!("<h3>{title}</h3>\n<figure><img src='{file}' alt='{title}'></figure>\n")
            })
            .collect();
        let evaluated = self.runs.iter().flat_map(|run| &run.rows).any(|row| row.split == "train-evaluated");
        let evaluated = match evaluated {
            true => " Dashed and dotted: training images in evaluation mode.",
            false => "",
        };
        let main = format!(
            "<section aria-labelledby='title'>\n<h1 id='title'>{title}</h1>\n{facts}{}\
             <h3>Learning curves</h3>\n<figure>\n{}</figure>\n\
             <p class='note'>Solid: validation images. Dotted: training images as seen, with augmentation and \
             dropout.{evaluated} Square: the test.</p>\n\
             <figure>\n{}</figure>\n<h3>Learning rate</h3>\n<figure>\n{}</figure>\n{confusions}{pictures}{}</section>\n",
            self.differences(),
            self.curves("top-1 error, %", |row| 100.0 * row.top1_error, true),
            self.curves("loss", |row| row.loss, false),
            self.rates(),
            self.configs(),
        );
        document(&title, "", "", &main)
    }

    /// Draws a quantity by epoch for all splits of all runs.
    fn curves(&self, up: &str, value: fn(&EpochRow) -> f64, with_test: bool) -> String {
        let points = |run: &SingleRun, split: &str| -> Vec<(f64, f64)> {
            let rows = run.rows.iter().filter(|row| row.split == split);
            let points = rows.map(|row| (row.epoch as f64, value(row)));
            points.filter(|(_, value)| value.is_finite()).collect()
        };
        let all = self.runs.iter().flat_map(|run| {
            SPLITS.iter().map(|(split, _)| *split).chain(["test"]).flat_map(|split| points(run, split))
        });
        let all: Vec<(f64, f64)> = all.collect();
        let mut x = Axis::linear(all.iter().map(|point| point.0).chain([1.0, 2.0]));
        x.ticks.retain(|tick| tick.fract() == 0.0);
        let y = Axis::rounded(all.iter().map(|point| point.1).chain([0.0]));
        let mut chart = Chart::new(Frame {
            class: "curves",
            label: &format!("{up}, by epoch"),
            title: None,
            margins: [64.0, 200.0],
            height: f64::max(280.0, 20.0 * self.runs.len() as f64),
            x: (x, "epoch"),
            y: (y, up),
        });
        for (index, run) in self.runs.iter().enumerate() {
            let name = (self.runs.len() > 1).then(|| self.label(index));
            chart.series(index, name.as_deref(), |chart| {
                for (split, dashes) in SPLITS {
                    let style = format!("stroke-width='2' stroke-dasharray='{dashes}'");
                    chart.line(&points(run, split), &style, &format!("{}, {split}", run.name));
                }
                for &point in points(run, "test").iter().filter(|_| with_test) {
                    chart.square(point, &format!("{}, test: {:.2}", run.name, point.1));
                }
            });
        }
        chart.finish()
    }

    fn rates(&self) -> String {
        let points = |run: &SingleRun| -> Vec<(f64, f64)> {
            let rows = run.rows.iter().filter(|row| row.split == "train");
            rows.map(|row| (row.epoch as f64, row.learning_rate)).collect()
        };
        let all: Vec<(f64, f64)> = self.runs.iter().flat_map(points).collect();
        let mut x = Axis::linear(all.iter().map(|point| point.0).chain([1.0, 2.0]));
        x.ticks.retain(|tick| tick.fract() == 0.0);
        let mut chart = Chart::new(Frame {
            class: "rates",
            label: "Learning rate of the last step, by epoch",
            title: None,
            margins: [84.0, 200.0],
            height: 140.0,
            x: (x, "epoch"),
            y: (Axis::logarithmic(all.iter().map(|point| point.1)), "rate"),
        });
        for (index, run) in self.runs.iter().enumerate() {
            chart.series(index, None, |chart| chart.line(&points(run), "stroke-width='2'", &run.name));
        }
        chart.finish()
    }

    /// Returns the name of a run in a legend: what people call it, or the settings in which it differs from the first, if there are several.
    fn label(&self, index: usize) -> String {
        let run = &self.runs[index];
        if let Some(called) = &run.called {
            return called.clone();
        }
        let changed = self.differing().into_iter().filter_map(|key| {
            let last = key.rmatch_indices('.').nth(1).map_or(key.as_str(), |(dot, _)| &key[dot + 1..]);
            Some(format!("{last} {}", run.values.get(key)?))
        });
        let changed: Vec<String> = changed.take(2).collect();
        let seeds = self.runs.iter().any(|other| other.record.seed != run.record.seed);
        let seed = seeds.then(|| format!("seed {}", run.record.seed));
        let parts: Vec<String> = changed.into_iter().chain(seed).collect();
        if parts.is_empty() { format!("run {}", index + 1) } else { parts.join(", ") }
    }

    /// Returns the table of the settings in which several runs differ.
    fn differences(&self) -> String {
        if self.runs.len() < 2 {
            return String::new();
        }
        let labels: Vec<String> = (0..self.runs.len()).map(|run| self.label(run)).collect();
        let heads: Vec<(&str, &str)> =
            [("", "setting")].into_iter().chain(labels.iter().map(|label| ("", label.as_str()))).collect();
        let mut rows = String::new();
        for key in self.differing() {
            let values =
                self.runs.iter().map(|run| cell("", run.values.get(key).map_or("–", String::as_str)));
            rows += &format!("<tr>{}{}</tr>\n", head("row", "", key), values.collect::<String>());
        }
        if self.runs.iter().any(|run| run.record.seed != self.runs[0].record.seed) {
            let seeds = self.runs.iter().map(|run| cell("", &run.record.seed.to_string()));
            rows += &format!("<tr>{}{}</tr>\n", head("row", "", "seed"), seeds.collect::<String>());
        }
        format!("<h3>Settings that differ</h3>\n{}", table("differences", "Differences", &heads, &rows))
    }

    fn configs(&self) -> String {
        let mut html = String::new();
        for run in &self.runs {
            let rows = run.values.iter().map(|(key, value)| {
                let code = format!("<td><code>{}</code></td>", escaped(value));
                format!("<tr>{}{code}</tr>\n", head("row", "", key))
            });
            html += &format!(
                "<details>\n<summary>Config of {}</summary>\n{}</details>\n",
                escaped(&run.name),
                table("config", "Config", &[("", "key"), ("", "value")], &rows.collect::<String>()),
            );
        }
        html
    }
}

fn facts(run: &SingleRun, several: bool) -> String {
    let rows = run
        .facts()
        .into_iter()
        .map(|(name, value)| format!("<tr>{}{}</tr>\n", head("row", "", name), cell("", &value)));
    let title = match (several, &run.called) {
        (true, Some(called)) => format!("<h3>{} ({})</h3>\n", escaped(called), escaped(&run.name)),
        (true, None) => format!("<h3>{}</h3>\n", escaped(&run.name)),
        (false, _) => String::new(),
    };
    title
        + &format!(
            "<div class='scroll'><table class='facts'><tbody>\n{}</tbody></table></div>\n",
            rows.collect::<String>()
        )
}

/// Returns the matrix of confusions, or for many classes the pairs.
fn confusions(run: &SingleRun, several: bool) -> String {
    if run.answers.is_none() {
        return String::new();
    }
    let of = if several { format!(", {}", escaped(&run.name)) } else { String::new() };
    if run.classes.len() > MATRIX {
        let rows = run.confusions().into_iter().take(PAIRS).map(|found| {
            let cells = [cell("", &found.class), cell("", &found.taken_for)].concat();
            let numbers = cell("number", &format!("{} of {}", found.images, found.of));
            format!("<tr>{cells}{numbers}</tr>\n")
        });
        let heads = [("", "class"), ("", "taken for"), ("number", "images")];
        let table = table("pairs", "Confusions", &heads, &rows.collect::<String>());
        return format!("<h3>The most frequent confusions{of}</h3>\n{table}");
    }
    let counts = run.confusion_counts();
    let heads: Vec<(&str, &str)> = [("", "class \\ taken for")]
        .into_iter()
        .chain(run.classes.iter().map(|class| ("number", class.as_str())))
        .collect();
    let mut rows = String::new();
    for (class, row) in counts.iter().enumerate() {
        let all = row.iter().sum::<usize>().max(1) as f64;
        let cells = row.iter().enumerate().map(|(taken_for, &images)| {
            // Right answers in blue, wrong ones in orange, by their share of the class.
            let colour = if class == taken_for { "0, 114, 178" } else { "213, 94, 0" };
            let share = images as f64 / all;
            format!("<td class='number' style='background: rgba({colour}, {:.2})'>{images}</td>", 0.6 * share)
        });
        rows += &format!("<tr>{}{}</tr>\n", head("row", "", &run.classes[class]), cells.collect::<String>());
    }
    format!("<h3>Confusions on the test images{of}</h3>\n{}", table("matrix", "Confusions", &heads, &rows))
}
