//! The name and tags of a run, in a file that is not part of the run's definition.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::atomic_write::atomic_write;

/// The name of the file in a run's folder.
const FILE: &str = "label.json";

/// `label.json`: the name and the tags of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tags, without repetition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Label {
    /// Reads the label of the run in a folder; an empty one if it has none.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn of(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(TrainError::read(&path))?,
        };
        serde_json::from_slice(&text)
            .map_err(|error| TrainError::DamagedLabel { path, problem: error.to_string() })
    }

    /// Adds a name, which replaces the old one, and tags.
    pub fn add(&mut self, name: Option<&str>, tags: &[String]) {
        if let Some(name) = name {
            self.name = Some(name.to_owned());
        }
        for tag in tags {
            if !self.tags.contains(tag) {
                self.tags.push(tag.clone());
            }
        }
    }

    /// Writes the label of the run in a folder.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::write(folder))?;
        atomic_write(&folder.join(FILE), &serde_json::to_vec_pretty(self).expect("plain texts"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_it_was_written_and_grows() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Label::of(folder.path()).unwrap(), Label::default());
        let mut label = Label::default();
        label.add(Some("first"), &["night".to_owned()]);
        label.add(None, &["night".to_owned(), "gpu".to_owned()]);
        label.write(folder.path()).unwrap();
        let read = Label::of(folder.path()).unwrap();
        assert_eq!(
            (read.name.as_deref(), read.tags),
            (Some("first"), vec!["night".to_owned(), "gpu".to_owned()])
        );
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Label::of(folder.path()).unwrap_err().to_string().contains("label.json"));
    }
}
