//! The table of a study's runs, and the configs of its arms.

use super::Section;
use super::markup::{cell, encoded, head, table};
use crate::chart::escaped;
use crate::run::RunReport;

const HEADS: [(&str, &str); 12] = [
    ("", "arm"),
    ("number", "seed"),
    ("", "differs in"),
    ("", "state"),
    ("number", "top-1 error, %"),
    ("number", "top-5 error, %"),
    ("number", "epochs"),
    ("", "backend"),
    ("number", "time, s"),
    ("number", "images/s"),
    ("number", "memory, MB"),
    ("", "config and files"),
];

impl Section {
    /// Returns the table of runs, which the script sorts and filters, and the configs that its buttons show.
    pub(super) fn table_of_runs(&self, index: usize) -> String {
        let mut rows = String::new();
        let mut configs = String::new();
        for (place, arm) in self.report.arms.iter().enumerate() {
            let config = format!("config-{index}-{place}");
            configs += &self.config(place, &config);
            for (number, run) in arm.runs.iter().enumerate() {
                rows += &format!(
                    "<tr id='run-{index}-{place}-{number}'>{}<td><button type='button' \
                     popovertarget='{config}' aria-label='Config of {}, seed {}'>config</button> {}</td>\
                     </tr>\n",
                    self.cells(place, run),
                    escaped(&arm.name),
                    run.seed,
                    self.files(run),
                );
            }
        }
        format!(
            "<h3>Runs</h3>\n<div class='runs-block'>\n<div class='controls'><label hidden>Filter \
             <input type='search' placeholder='arm, seed 3, failed …'></label> \
             <span class='note' role='status'></span> <a href='runs.csv'>runs.csv</a> \
             <a href='report.json'>report.json</a></div>\n{}</div>\n{configs}",
            table("runs", "Runs", &HEADS, &rows),
        )
    }

    fn cells(&self, place: usize, run: &RunReport) -> String {
        let number = |value: Option<f64>, digits: usize| {
            cell("number", &value.map_or("–".to_owned(), |value| format!("{value:.digits$}")))
        };
        let Some(config) = self.configs.get(place) else { return String::new() };
        let value = |key: &String| config.values.get(key).map_or("(none)", String::as_str);
        let differs: Vec<String> =
            config.differs.iter().map(|key| format!("{key} = {}", value(key))).collect();
        let (class, state) = match &run.failure {
            Some(failure) => ("missing", failure.as_str()),
            None => ("", "finished"),
        };
        [
            cell("", &self.report.arms[place].name),
            cell("number", &run.seed.to_string()),
            format!("<td class='differs'><code>{}</code></td>", escaped(&differs.join("; "))),
            cell(class, state),
            number(run.test_top1_error.map(|error| 100.0 * error), 2),
            number(run.test_top5_error.map(|error| 100.0 * error), 2),
            number(run.epochs.map(|epochs| epochs as f64), 0),
            cell("", run.backend.as_deref().unwrap_or("–")),
            number(run.train_seconds, 1),
            number(run.images_per_second, 0),
            number(run.peak_memory_bytes.map(|bytes| bytes as f64 / 1e6), 0),
        ]
        .concat()
    }

    /// Returns links to the files of a run.
    fn files(&self, run: &RunReport) -> String {
        let last = if run.failure.is_some() { "checkpoints/" } else { "weights.bpk" };
        let folder = format!("{}{}", self.runs, encoded(&run.folder));
        let link = |file: &str| format!("<a href='{folder}/{file}'>{file}</a>");
        ["run.json", "metrics.jsonl", last].map(link).join(" · ")
    }

    /// Returns the config of an arm, first where it differs from the base's, as a popover.
    fn config(&self, place: usize, id: &str) -> String {
        let [Some(base), Some(config)] = [0, place].map(|place| self.configs.get(place)) else {
            return String::new();
        };
        let [base_name, name] = [0, place].map(|place| self.report.arms[place].name.as_str());
        let code = |value: Option<&String>| {
            format!("<td><code>{}</code></td>", escaped(value.map_or("–", String::as_str)))
        };
        let row = |key: &String, cells: String| format!("<tr>{}{cells}</tr>\n", head("row", "", key));
        let differ = config.differs.iter().map(|key| {
            let values = [base, config].map(|config| code(config.values.get(key)));
            row(key, values.concat())
        });
        let heads = [("", "key"), ("", base_name), ("", name)];
        let differences = match config.differs.is_empty() {
            true => "<h3>The base</h3>\n".to_owned(),
            false => {
                let table = table("differences", "Differences", &heads, &differ.collect::<String>());
                format!("<h3>Differs from the base in</h3>\n{table}")
            }
        };
        let all: String = config.values.iter().map(|(key, value)| row(key, code(Some(value)))).collect();
        format!(
            "<div popover id='{id}' role='dialog' aria-labelledby='{id}-title'>\n\
             <button type='button' popovertarget='{id}' popovertargetaction='hide' \
             aria-label='Close'>✕</button>\n\
             <h2 id='{id}-title'>{}: {}</h2>\n{differences}<h3>Config</h3>\n{}</div>\n",
            escaped(&self.report.ablation),
            escaped(name),
            table("config", "Config", &heads[..1], &all),
        )
    }
}
