//! Runs by themselves, without a study: what one run found, and a page of one or several.

mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alexnet_config::plain_values;
use alexnet_study::proportion_interval;
use alexnet_train::{
    EpochRow, EvaluationResult, Failure, Label, PredictedClasses, Run, RunRecord, RunStatus, spoken,
};

use crate::ReportError;

/// The number of pairs of classes that a line names.
const PAIRS: usize = 3;

/// A run, finished or not, as its folder has it.
#[derive(Debug, Clone)]
pub struct SingleRun {
    /// The folder.
    pub folder: PathBuf,
    /// The name of the folder.
    pub name: String,
    /// The name that its label gives it.
    called: Option<String>,
    record: RunRecord,
    rows: Vec<EpochRow>,
    /// The test of the final weights, if the run is finished.
    test: Option<EvaluationResult>,
    parameters: usize,
    answers: Option<PredictedClasses>,
    classes: Vec<String>,
    failure: Option<String>,
    values: BTreeMap<String, String>,
}

/// Two classes that the network confuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// The class of the images.
    pub class: String,
    /// The class that they are taken for.
    pub taken_for: String,
    /// The number of test images of `class` that are taken for `taken_for`.
    pub images: usize,
    /// The number of test images of `class`.
    pub of: usize,
}

impl SingleRun {
    /// Reads the folder of a run.
    ///
    /// # Errors
    /// If it is no run's folder, or a file is damaged.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let of_run = |source| ReportError::Run { path: folder.to_owned(), source: Box::new(source) };
        let run = Run::open(folder).map_err(of_run)?;
        let record = run.record().map_err(of_run)?;
        let views = run.config.evaluation.views;
        let result = match run.status().map_err(of_run)? {
            RunStatus::Finished(result) => Some(result),
            _ => None,
        };
        let classes = run.classes().map_err(of_run)?;
        let number = |class: usize| class.to_string();
        Ok(Self {
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            called: Label::of(folder).unwrap_or_default().name,
            folder: folder.to_owned(),
            rows: run.metrics().map_err(of_run)?,
            test: result.as_ref().and_then(|result| result.test(views).copied()),
            parameters: run.config.network.trace().map_or(0, |trace| trace.parameters()),
            answers: run.answers(views).map_err(of_run)?,
            classes: classes.unwrap_or_else(|| (0..run.config.network.classes).map(number).collect()),
            failure: Failure::read(folder).map(|failure| failure.why),
            values: plain_values(&run.config)?,
            record,
        })
    }

    /// Returns the pairs of classes that are confused, the most frequent first.
    pub fn confusions(&self) -> Vec<Confusion> {
        let counts = self.confusion_counts();
        let mut found = Vec::new();
        for (class, row) in counts.iter().enumerate() {
            let of = row.iter().sum();
            for (taken_for, &images) in row.iter().enumerate() {
                if images > 0 && class != taken_for {
                    let [class, taken_for] = [class, taken_for].map(|class| self.classes[class].clone());
                    found.push(Confusion { class, taken_for, images, of });
                }
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.images));
        found
    }

    /// Returns the number of test images by their class and the class that they are taken for.
    fn confusion_counts(&self) -> Vec<Vec<usize>> {
        let classes = self.classes.len();
        let mut counts = vec![vec![0; classes]; classes];
        if let Some(answers) = &self.answers {
            for (&class, &taken_for) in answers.targets.iter().zip(&answers.predicted) {
                if class < classes && taken_for < classes {
                    counts[class][taken_for] += 1;
                }
            }
        }
        counts
    }

    /// Returns the most frequent confusions in words, if there is one.
    pub fn most_confused(&self) -> Option<String> {
        let pairs: Vec<String> = self.confusions().iter().take(PAIRS).map(Confusion::text).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Returns the test error with its interval, and the error among five classes if it says something.
    fn test_error(&self, test: &EvaluationResult) -> String {
        let (low, high) = proportion_interval(test.wrong(), test.images as u64);
        let five = match EvaluationResult::says_top5(self.classes.len()) {
            true => format!(", top-5 {:.2} %", 100.0 * test.top5_error),
            false => String::new(),
        };
        let views = match test.views.count() {
            1 => String::new(),
            views => format!(", {views} views each"),
        };
        format!(
            "{:.2} % of {} test images, 95 % interval [{:.2}, {:.2}]{five}{views}",
            100.0 * test.top1_error,
            test.images,
            100.0 * low,
            100.0 * high
        )
    }

    /// Returns names and values of what is known about the run.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let train = || self.rows.iter().filter(|row| row.split == "train");
        let seconds: f64 = train().map(|row| row.seconds).sum();
        let epochs = train().map(|row| row.epoch).max().unwrap_or(0);
        let session = self.record.sessions.last();
        let classes = self.classes.len().max(1);
        let value = |key: &str| self.values.get(key).map(|value| value.trim_matches('"')).unwrap_or_default();
        let mut facts = vec![
            ("data set", format!("{}, sha256 {}", self.record.data, short(&self.record.checksum))),
            ("network", format!("{}, {} weights and biases", value("network.name"), self.parameters)),
            ("classes", format!("{classes}; guessing errs on {:.1} %", 100.0 - 100.0 / classes as f64)),
            ("seed", self.record.seed.to_string()),
            ("epochs", format!("{epochs} of {}", value("recipe.epochs"))),
            ("time of training", spoken(std::time::Duration::from_secs_f64(seconds))),
        ];
        // An epoch's last batch may have fewer images.
        let steps =
            self.rows.iter().filter(|row| row.split == "train").map(|row| row.step).max().unwrap_or(0);
        let images = steps * self.record.config.recipe.batch_size;
        if seconds > 0.0 && images > 0 {
            facts.push(("speed", format!("about {:.0} images/s", images as f64 / seconds)));
        }
        if let Some(session) = session {
            facts.push(("computed by", format!("{}, code {}", session.backend, session.code_version)));
        }
        match (&self.test, &self.failure) {
            (Some(test), _) => facts.push(("test error", self.test_error(test))),
            (None, Some(failure)) => facts.push(("no result", failure.clone())),
            (None, None) => facts.push(("no result", "not finished".to_owned())),
        }
        facts
    }
}

impl Confusion {
    fn text(&self) -> String {
        format!("{} taken for {} ({} of {})", self.class, self.taken_for, self.images, self.of)
    }
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

/// A page of one run, or of several beside each other.
#[derive(Debug, Clone)]
pub struct RunsPage {
    runs: Vec<SingleRun>,
}

impl RunsPage {
    /// Creates the page of these runs.
    pub fn of(runs: Vec<SingleRun>) -> Self {
        Self { runs }
    }

    /// Writes `index.html`. `pictures` are titles and names of files in the folder.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path, pictures: &[(String, String)]) -> Result<(), ReportError> {
        let io = |source| ReportError::Io { action: "write", path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        crate::files::write(&folder.join("index.html"), &self.html(pictures))
    }

    /// Returns the keys in which the configs differ from the first run's.
    fn differing(&self) -> Vec<&String> {
        let Some((first, others)) = self.runs.split_first() else { return Vec::new() };
        let keys: std::collections::BTreeSet<&String> =
            self.runs.iter().flat_map(|run| run.values.keys()).collect();
        let differs = |key: &&String| others.iter().any(|run| run.values.get(*key) != first.values.get(*key));
        keys.into_iter().filter(differs).collect()
    }
}

#[cfg(test)]
mod tests;
