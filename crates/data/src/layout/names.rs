//! The common names of the classes of ImageNet and its subsets, from the tables that come with them.

use std::collections::BTreeMap;

use super::Class;
use crate::{DataError, Files};

/// Kaggle's table of all thousand classes.
pub(super) const KAGGLE: &str = "LOC_synset_mapping.txt";

/// Tables and the separator of id and name, the most trusted last: Tiny-ImageNet's, Caffe's, Kaggle's.
const TABLES: [(&str, char); 3] = [("words.txt", '\t'), (KAGGLE, ' '), ("synset_words.txt", ' ')];

/// Returns whether a text is a WordNet id: `n` and eight digits.
pub(super) fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a text file. Bytes that are not UTF-8 are replaced.
pub(super) fn text(files: &Files, name: &str) -> Result<String, DataError> {
    Ok(String::from_utf8_lossy(&files.read(name)?).into_owned())
}

/// Returns the ids in Kaggle's table, if it exists.
pub(super) fn kaggles_ids(files: &Files) -> Result<Vec<String>, DataError> {
    let Some(name) = files.find(KAGGLE) else { return Ok(Vec::new()) };
    let text = text(files, name)?;
    let ids = text.lines().filter_map(|line| line.split_whitespace().next()).filter(|id| is_wnid(id));
    Ok(ids.map(str::to_owned).collect())
}

/// Names the classes that are WordNet ids from the tables.
pub(super) fn give(files: &Files, classes: &mut [Class]) -> Result<(), DataError> {
    if !classes.iter().any(|class| is_wnid(&class.id)) {
        return Ok(());
    }
    for (table, separator) in TABLES {
        let Some(name) = files.find(table) else { continue };
        let text = text(files, name)?;
        let names: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once(separator)).collect();
        for class in classes.iter_mut() {
            if let Some(name) = names.get(class.id.as_str()) {
                class.name = name.trim().to_owned();
            }
        }
    }
    Ok(())
}
