//! Names of splits. They are taken from folders and shards, never from the names of images.

use std::collections::{BTreeMap, BTreeSet};

use crate::{DataError, Files};

/// Each split and the whole words that name it, in any case.
pub(super) const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("val", &["val", "valid", "validation", "dev", "devel", "eval", "evaluation", "holdout"]),
    ("test", &["test", "testing"]),
];

/// A split and the word that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) split: &'static str,
    word: &'static str,
}

/// Returns the split that this word names.
pub(super) fn exact(word: &str) -> Option<Named> {
    SPLITS.iter().find_map(|(split, words)| {
        let word = words.iter().find(|known| known.eq_ignore_ascii_case(word))?;
        Some(Named { split, word })
    })
}

/// Returns the splits named by words in a name. Any non-letter separates words.
pub(super) fn all_in(name: &str) -> Vec<Named> {
    name.split(|c: char| !c.is_alphabetic()).filter_map(exact).collect()
}

/// Returns the split named by words in a name, if there is exactly one.
pub(super) fn one_in(name: &str) -> Option<Named> {
    let found = all_in(name);
    found.first().copied().filter(|first| found.iter().all(|named| named.split == first.split))
}

/// The word that names each split in a data set. With two words the split would be ambiguous.
#[derive(Default)]
pub(super) struct Words(BTreeMap<&'static str, (&'static str, String)>);

impl Words {
    /// Records that `place` has a split's name.
    ///
    /// # Errors
    /// If another place names the split by another word.
    pub(super) fn note(&mut self, files: &Files, named: Named, place: &str) -> Result<(), DataError> {
        let (word, first) = self.0.entry(named.split).or_insert_with(|| (named.word, place.to_owned()));
        if *word == named.word {
            return Ok(());
        }
        let first = files.display(first);
        let problem = format!(
            "is called after the split `{}`, and so is {first}; rename or move one of them",
            named.split
        );
        Err(DataError::file(files.display(place), problem))
    }
}

/// Returns the split of a shard or table, given its path without extension, from words in its own name or in that
/// of the nearest folder. Without such words, the images are training images.
///
/// # Errors
/// If its name stands for several splits, or for a different split than its folder.
pub(super) fn of_shard(files: &Files, path: &str, words: &mut Words) -> Result<&'static str, DataError> {
    let (folders, own) = path.rsplit_once('/').unwrap_or(("", path));
    let (by_name, all) = (one_in(own), all_in(own));
    let folder = folders.rsplit('/').find_map(exact);
    if let Some(first) = all.first()
        && (by_name.is_none() || folder.is_some_and(|folder| folder.split != first.split))
    {
        let problem = "is called after more than one split, itself or by its folder; rename or move it";
        return Err(DataError::file(files.display(path), problem));
    }
    let named = by_name.or_else(|| folders.rsplit('/').find_map(one_in));
    let Some(named) = named else { return Ok(SPLITS[0].0) };
    words.note(files, named, path)?;
    Ok(named.split)
}

/// Refuses a shard without a split's name if another word stands where a shard like it has such a name: `foo-0`
/// beside `train-0`, or `foo/0` beside `train/0`. Its images would count as training images. `paths` are without
/// extension.
///
/// # Errors
/// If there is such a shard. The error lists the words that are known.
pub(super) fn no_other_words(files: &Files, paths: &BTreeSet<&str>) -> Result<(), DataError> {
    let mut known: BTreeMap<(String, String), &str> = BTreeMap::new();
    for path in paths.iter().flat_map(|path| with_folders(path)) {
        for (word, around) in words(path) {
            if exact(word).is_some() {
                known.entry(around).or_insert(path);
            }
        }
    }
    for path in paths.iter().filter(|path| all_in(path).is_empty()) {
        for (word, around) in with_folders(path).flat_map(words) {
            let Some(named) = known.get(&around) else { continue };
            let splits: Vec<String> =
                SPLITS.iter().flat_map(|(_, words)| *words).map(|word| format!("`{word}`")).collect();
            let problem = format!(
                "has `{word}` where {} has the name of a split, which is one of {}; rename or move it",
                files.display(named),
                splits.join(", ")
            );
            return Err(DataError::file(files.display(path), problem));
        }
    }
    Ok(())
}

/// Returns the folders above a path, and the path.
fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end]).chain([path])
}

/// Returns the words of a path, each with the text before and after it, in which every number is 0.
fn words(path: &str) -> Vec<(&str, (String, String))> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in path.split(|c: char| !c.is_alphabetic()) {
        let end = start + word.len();
        if !word.is_empty() {
            found.push((word, (without_numbers(&path[..start]), without_numbers(&path[end..]))));
        }
        start = end + path[end..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

fn without_numbers(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    chars.dedup_by(|a, b| (*a, *b) == ('0', '0'));
    chars.into_iter().collect()
}

/// The location of an image within a split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) split: &'static str,
    /// The path up to and including the split's folder, with a slash at the end.
    pub(super) folder: &'a str,
    /// The length of that path up to and including the outermost folder of the split.
    outer: usize,
    /// The rest of the path.
    pub(super) below: &'a str,
}

/// Returns the outermost folder of a path whose name fits, with directly nested folders of the same split.
fn outermost<'a>(name: &'a str, fits: impl Fn(&str) -> Option<Named>) -> Option<(Named, &'a str, Found<'a>)> {
    let mut start = 0;
    let mut found: Option<(Named, usize, usize, usize)> = None;
    while let Some(length) = name[start..].find('/') {
        let end = start + length + 1;
        found = match (found, fits(&name[start..end - 1])) {
            (None, Some(named)) => Some((named, start, end, end)),
            (Some((first, from, outer, _)), Some(named)) if first.split == named.split => {
                Some((first, from, outer, end))
            }
            (Some(_), _) => break,
            (None, None) => None,
        };
        start = end;
    }
    let (named, from, outer, end) = found?;
    let (folder, below) = name.split_at(end);
    Some((named, &name[..from], Found { split: named.split, folder, outer, below }))
}

/// Treats `train/train/…` as one split folder, unless another folder is beside the inner one. Then the inner one is
/// a class.
fn tell_classes_apart<'a>(images: &[&'a str], found: &mut [Option<(Named, &'a str, Found<'a>)>]) {
    let unfolded = found.iter().flatten().map(|(_, _, found)| found);
    let unfolded = unfolded.filter(|found| found.folder.len() == found.outer && found.below.contains('/'));
    let classes: BTreeSet<&str> = unfolded.map(|found| found.folder).collect();
    for (name, found) in
        images.iter().zip(found).filter_map(|(name, found)| Some((name, &mut found.as_mut()?.2)))
    {
        if found.folder.len() > found.outer && classes.contains(&name[..found.outer]) {
            (found.folder, found.below) = name.split_at(found.outer);
        }
    }
}

/// Returns the split that a folder or a folder above it is named after.
pub(super) fn of_folder(folder: &str) -> Option<&'static str> {
    folder.split('/').find_map(exact).map(|named| named.split)
}

/// Returns the split folder of each image, if there are such folders. A folder named exactly after a split counts
/// if something in it is in a subfolder, or if `flat` is set. Folders beside it may then have other words in their
/// names. Otherwise, folders with other words in their names count only if all images are in such folders, or if
/// there are some for training and some for other splits: a class may have the name of a split.
///
/// # Errors
/// If two words name one split.
pub(super) fn folders<'a>(
    files: &Files,
    images: &[&'a str],
    flat: bool,
) -> Result<Option<Vec<Option<Found<'a>>>>, DataError> {
    let mut words = Words::default();
    let mut note = |named, found: Found<'a>| {
        let place = found.folder.trim_end_matches('/');
        words.note(files, named, place).map(|()| found)
    };
    let deep = |found: &Found<'_>| flat || found.below.contains('/');
    let mut by_exact: Vec<_> = images.iter().map(|name| outermost(name, exact)).collect();
    tell_classes_apart(images, &mut by_exact);
    if by_exact.iter().flatten().any(|(_, _, found)| deep(found)) {
        let parents: BTreeSet<&str> = by_exact.iter().flatten().map(|(_, parent, _)| *parent).collect();
        let beside = |name: &'a str| {
            let found = outermost(name, one_in)?;
            parents.contains(found.1).then_some(found)
        };
        let found = images.iter().zip(by_exact).map(|(name, found)| {
            let Some((named, _, found)) = found.or_else(|| beside(name)) else { return Ok(None) };
            note(named, found).map(Some)
        });
        return found.collect::<Result<_, _>>().map(Some);
    }
    let mut by_words: Vec<_> = images.iter().map(|name| outermost(name, one_in)).collect();
    tell_classes_apart(images, &mut by_words);
    let splits: BTreeSet<&str> = by_words.iter().flatten().map(|(named, ..)| named.split).collect();
    let all = by_words.iter().all(Option::is_some) || (splits.contains("train") && splits.len() > 1);
    if !all || !by_words.iter().flatten().any(|(_, _, found)| deep(found)) {
        return Ok(None);
    }
    let found =
        by_words.into_iter().map(|found| found.map(|(named, _, found)| note(named, found)).transpose());
    found.collect::<Result<_, _>>().map(Some)
}

/// Returns the table of these words in Markdown.
pub(crate) fn table() -> String {
    let rows = SPLITS.iter().map(|(split, words)| {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        format!("| `{split}` | {} |\n", words.join(", "))
    });
    format!("| split | words |\n|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_named_by_whole_words() {
        for (name, expected) in [
            ("train", Some("train")),
            ("imagenet-train-000000", Some("train")),
            ("ILSVRC2012_img_val", Some("val")),
            ("VALID_01", Some("val")),
            ("validation2017", Some("val")),
            ("testing.set", Some("test")),
            ("test1", Some("test")),
            ("dev-0", Some("val")),
            ("devkit_t12", None),
            ("contest-000000", None),
            ("festival-000000", None),
            ("trains", None),
            ("trainval", None),
            ("train-and-test", None),
        ] {
            assert_eq!(one_in(name).map(|named| named.split), expected, "{name}");
        }
        assert_eq!(all_in("train-and-test").len(), 2);
        assert_eq!(exact("train-0"), None);
    }
}
