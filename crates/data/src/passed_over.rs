//! Counts the unused files of a data set by kind.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of kinds that are listed. Files of other kinds are counted together.
const KINDS_SHOWN: usize = 8;

/// Files that were passed over when a data set was read, by kind: `hidden`, `.webp (not read)`. It is displayed as
/// `12 files passed over: 3 .webp (not read), 9 hidden`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PassedOver(BTreeMap<String, usize>);

impl PassedOver {
    /// The kind of files that describe a data set.
    pub(crate) const DOCUMENTS: &'static str = "README, LICENSE and the like";

    /// Returns whether anything except documents was passed over. Users of the data should then be told.
    pub fn is_of_note(&self) -> bool {
        self.0.keys().any(|kind| kind != Self::DOCUMENTS)
    }

    /// Returns whether no files were passed over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of files.
    pub fn files(&self) -> usize {
        self.0.values().sum()
    }

    /// Returns the number of files of each kind.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(kind, files)| (kind.as_str(), *files))
    }

    pub(crate) fn add(&mut self, kind: &str, files: usize) {
        if files > 0 {
            *self.0.entry(kind.to_owned()).or_default() += files;
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files();
        write!(out, "{files} file{} passed over", if files == 1 { "" } else { "s" })?;
        for (at, (kind, files)) in self.kinds().take(KINDS_SHOWN).enumerate() {
            write!(
                out,
                "{} {files} {}",
                if at == 0 { ":" } else { "," },
                kind.replace(char::is_control, "?")
            )?;
        }
        let others: usize = self.kinds().skip(KINDS_SHOWN).map(|(_, files)| files).sum();
        if others > 0 {
            write!(out, ", {others} of other kinds")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_in_one_line() {
        let mut passed = PassedOver::default();
        passed.add("hidden", 4);
        passed.add(".webp (not read)", 3);
        passed.add("hidden", 5);
        passed.add("backups", 0);
        assert_eq!(passed.to_string(), "12 files passed over: 3 .webp (not read), 9 hidden");
        (0..9).for_each(|n| passed.add(&format!(".{n}"), 1));
        assert!(passed.to_string().ends_with(".7, 13 of other kinds"), "{passed}");
    }
}
