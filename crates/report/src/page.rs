//! The report as one offline page, with its style, its script and its charts.

mod backends;
pub(crate) mod markup;
mod runs;
mod section;
mod waterfall;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use alexnet_config::{differences, plain_values};
use alexnet_study::Study;

use crate::chart::escaped;
use crate::error::ReportError;
use crate::files;
use crate::report::Report;

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// A page of one or more studies.
pub struct Page {
    sections: Vec<Section>,
}

/// One study of a page.
#[derive(Debug, Clone)]
pub struct Section {
    report: Report,
    /// The configs of the arms.
    configs: Vec<Config>,
    /// The folder of the runs, as a link from the page.
    runs: String,
    out: PathBuf,
}

/// The config of an arm.
#[derive(Debug, Clone)]
struct Config {
    /// The keys whose values differ from the base's.
    differs: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Section {
    /// Creates the section of a study from its report and the folder that contains the folders of its runs.
    ///
    /// # Errors
    /// If TOML cannot represent the config of an arm.
    pub fn of(study: &Study, report: Report, out: &Path) -> Result<Self, ReportError> {
        let mut configs = Vec::new();
        for arm in &study.arms {
            let mut values = plain_values(&arm.config)?;
            values.insert("data.set".to_owned(), study.data.clone()); // it may be the path of a manifest
            let differs = differences(&study.arms[0].config, &arm.config)?;
            configs.push(Config { differs: differs.into_iter().map(|found| found.key).collect(), values });
        }
        Ok(Self { report, configs, runs: String::new(), out: out.to_owned() })
    }
}

impl Page {
    /// Creates a page of these sections.
    pub fn of(sections: Vec<Section>) -> Self {
        Self { sections }
    }

    /// Writes `index.html`, and `report.json` and `runs.csv` with the numbers of all sections.
    ///
    /// # Errors
    /// If a folder of runs does not exist or a file cannot be written.
    pub fn write(mut self, folder: &Path) -> Result<(), ReportError> {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source: std::io::Error| ReportError::Io { action, path, source }
        };
        std::fs::create_dir_all(folder).map_err(io("write", folder))?;
        let here = folder.canonicalize().map_err(io("read", folder))?;
        for section in &mut self.sections {
            let out = section.out.canonicalize().map_err(io("read", &section.out))?;
            section.runs = relative(&here, &out);
        }
        let reports: Vec<&Report> = self.sections.iter().map(|section| &section.report).collect();
        let json = match reports.as_slice() {
            [report] => serde_json::to_string_pretty(report)?,
            _ => serde_json::to_string_pretty(&reports)?,
        };
        for (name, text) in
            [("index.html", self.html()), ("report.json", json + "\n"), ("runs.csv", csv(&reports))]
        {
            files::write(&folder.join(name), &text)?;
        }
        Ok(())
    }

    fn html(&self) -> String {
        let names: Vec<&str> = self.sections.iter().map(|section| section.report.ablation.as_str()).collect();
        let title = escaped(&names.join(", "));
        let arms = self.sections.iter().map(|section| section.report.arms.len()).max().unwrap_or(0);
        let hidden: String = (0..arms)
            .map(|arm| format!(".views:has(.toggle-{arm}:not(:checked)) .arm-{arm} {{ display: none; }}\n"))
            .collect();
        let contents: String = self
            .sections
            .iter()
            .enumerate()
            .filter(|_| self.sections.len() > 1)
            .map(|(index, Section { report, .. })| {
                let text = format!("{}, {}, {}", report.ablation, report.scale, report.backend);
                format!("<li><a href='#study-{index}'>{}</a></li>\n", escaped(&text))
            })
            .collect();
        let sections: String =
            self.sections.iter().enumerate().map(|(index, section)| section.html(index)).collect();
        let reports: Vec<&Report> = self.sections.iter().map(|section| &section.report).collect();
        let backends = backends::html(&reports);
        document(&title, &hidden, &contents, &format!("{sections}{backends}"))
    }
}

/// Returns a whole page. `title` is escaped; `style` is added to the style sheet, `contents` are the items of the
/// navigation.
pub(crate) fn document(title: &str, style: &str, contents: &str, main: &str) -> String {
    let navigation = match contents {
        "" => String::new(),
        contents => format!("<nav aria-label='Ablations'><ul>\n{contents}</ul></nav>\n"),
    };
    format!(
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\n\
         <meta name='color-scheme' content='light dark'>\n<title>{title} · alexnet-burn</title>\n\
         <link rel='icon' href='data:,'>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n\
         <a class='skip' href='#main'>To the results</a>\n\
         <header>\n<p class='project'>alexnet-burn</p>\n{navigation}</header>\n\
         <main id='main'>\n{main}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
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

/// Returns the relative path from one absolute folder to another, as a link with a trailing slash.
fn relative(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let down = to[shared..].iter().map(|part| markup::encoded(&part.as_os_str().to_string_lossy()));
    let path = up.chain(down).collect::<Vec<_>>().join("/");
    if path.is_empty() { "./".to_owned() } else { path + "/" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::tests::report;

    fn section(arms: &[&str], epochs: usize) -> Section {
        let report = report(arms, epochs);
        let values = BTreeMap::from([("recipe.momentum".to_owned(), arms.concat())]);
        let config = Config { differs: vec!["recipe.momentum".to_owned()], values };
        let configs = vec![config; arms.len()];
        Section { report, configs, runs: "../".to_owned(), out: PathBuf::new() }
    }

    #[test]
    fn links_lead_from_page_to_runs() {
        let link = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(link("/a/runs/ablations/lrn/report", "/a/runs"), "../../../");
        assert_eq!(link("/a/page", "/a/runs #1"), "../runs%20%231/");
        assert_eq!(link("/a", "/a"), "./");
    }

    #[test]
    fn points_lead_to_the_rows_of_runs() {
        let html = Page::of(vec![section(&["on", "off"], 3), section(&["on", "off"], 3)]).html();
        for run in ["run-0-0-0", "run-0-1-1", "run-1-1-0"] {
            assert!(html.contains(&format!("<tr id='{run}'")), "no row {run} in {html}");
            assert!(html.contains(&format!("<a href='#{run}'")), "no link to {run} in {html}");
        }
        for expected in [
            "href='../run%200%230/metrics.jsonl'",
            "popovertarget='config-1-0'",
            "id='config-1-0'",
            "href='#study-1'",
            "1,234,567",
            "lrn across backends",
        ] {
            assert!(html.contains(expected), "no `{expected}` in {html}");
        }
    }

    #[test]
    fn hostile_names_end_nothing() {
        let hostile = "</script></title></style><script>alert(1)</script><img src=x onerror=\"'&";
        let mut hostile_section = section(&[hostile, hostile], 2);
        for run in &mut hostile_section.report.arms[1].runs {
            run.folder = hostile.to_owned();
            run.failure = Some(hostile.to_owned());
            run.backend = Some(hostile.to_owned());
        }
        hostile_section.report.ablation = hostile.to_owned();
        let html = Page::of(vec![hostile_section.clone(), hostile_section, section(&[], 0)]).html();
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert_eq!(html.matches("</script").count(), 1, "{html}");
        assert_eq!(html.matches("</style").count(), 1, "{html}");
        assert!(!html.contains("<img"), "{html}");
    }
}
