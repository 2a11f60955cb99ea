//! Class folders, `train/<class>/…` and `test/<class>/…`, or `<class>/…` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Class, Source, is_image};
use crate::dataset::{Images, LabelledImages};
use crate::{DataError, Files, Manifest};

/// Splits `…/<split>/<class>/…/<file>` and returns (class, whole path).
pub(super) fn by_split<'a>(files: &'a Files, split: &str) -> Vec<(&'a str, &'a str)> {
    let images = files.names().filter(|name| is_image(name));
    let parts = images.filter_map(|name| {
        let rest = match name.strip_prefix(split).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) => rest,
            None => name.split_once(&format!("/{split}/"))?.1,
        };
        let (class, _) = rest.split_once('/')?;
        Some((class, name))
    });
    parts.collect()
}

pub(super) fn labelled(
    files: &Arc<Files>,
    classes: &[Class],
    entries: &[(&str, &str)],
) -> Result<LabelledImages, DataError> {
    let order: BTreeMap<&str, u32> = classes.iter().map(|class| class.id.as_str()).zip(0..).collect();
    let labels = entries.iter().map(|(class, name)| {
        order.get(class).copied().ok_or_else(|| {
            let problem = format!("`{class}` is not a class of the training images");
            DataError::file(files.display(name), problem)
        })
    });
    Ok(LabelledImages {
        labels: labels.collect::<Result<_, _>>()?,
        keys: entries.iter().map(|(_, name)| (*name).to_owned()).collect(),
        images: Images::Files(files.clone()),
        boxes: Vec::new(),
    })
}

/// The manifest's classes, or those that the training images are of (or others, where there are none), sorted.
pub(super) fn classes(manifest: Option<&Manifest>, train: &[(&str, &str)]) -> Vec<Class> {
    match manifest {
        Some(manifest) if !manifest.classes.is_empty() => {
            manifest.classes.iter().map(Class::unnamed).collect()
        }
        _ => {
            let found: BTreeSet<&str> = train.iter().map(|(class, _)| *class).collect();
            found.into_iter().map(Class::unnamed).collect()
        }
    }
}

pub(super) fn read(files: Files, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    let files = Arc::new(files);
    let mut splits: Vec<(&str, Vec<(&str, &str)>)> = ["train", "val", "validation", "test"]
        .map(|split| (split, by_split(&files, split)))
        .into_iter()
        .filter(|(_, entries)| !entries.is_empty())
        .collect();
    if splits.is_empty() {
        splits = vec![("train", unsplit(&files)?)];
    }
    let classes = classes(manifest, &splits[0].1);
    for (split, entries) in &splits {
        no_empty_class(&files, split, entries)?;
    }
    let splits = splits.into_iter().map(|(split, entries)| {
        let name = if split == "validation" { "val" } else { split };
        Ok((name.to_owned(), labelled(&files, &classes, &entries)?))
    });
    let splits = splits.collect::<Result<_, DataError>>()?;
    Ok(Source::new("class folders", classes, splits))
}

/// Images of class folders without splits: the class is the first folder in which paths differ.
fn unsplit(files: &Files) -> Result<Vec<(&str, &str)>, DataError> {
    let images: Vec<&str> = files.names().filter(|name| is_image(name)).collect();
    let folders = || images.iter().filter_map(|name| name.rsplit_once('/')).map(|(folder, _)| folder);
    let Some(first) = folders().next() else {
        return Err(DataError::file(
            files.display(""),
            "has no class folders with JPEG or PNG images in them",
        ));
    };
    // Folders that all images share, but for the last one if it holds images itself.
    let common = folders().fold(first.split('/').collect::<Vec<_>>(), |common, folder| {
        common.into_iter().zip(folder.split('/')).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    });
    let deepest = folders().any(|folder| folder.split('/').count() == common.len());
    let depth = common.len() - usize::from(deepest && !common.is_empty());
    let entries = images.iter().filter_map(|name| {
        let parts: Vec<&str> = name.split('/').collect();
        (parts.len() > depth + 1).then(|| (parts[depth], *name))
    });
    Ok(entries.collect())
}

/// A class folder without images is an error: it would be a class that nothing is ever of.
fn no_empty_class(files: &Files, split: &str, entries: &[(&str, &str)]) -> Result<(), DataError> {
    let Some((class, name)) = entries.first() else { return Ok(()) };
    // What stands before the class in a path of this split.
    let Some(before) = name.find(&format!("{class}/")).map(|at| &name[..at]) else { return Ok(()) };
    let known: BTreeSet<&str> = entries.iter().map(|(class, _)| *class).collect();
    let class_of = |name: &'_ str| -> Option<String> {
        let rest = name.strip_prefix(before)?;
        Some(rest.split('/').next().unwrap_or(rest).to_owned())
    };
    let empty = files.empty_folders().iter().filter_map(|folder| class_of(folder));
    let without =
        files.names().filter(|name| name.strip_prefix(before).is_some_and(|rest| rest.contains('/')));
    let beside = without.filter_map(class_of);
    let splits = ["train", "val", "validation", "test"];
    match empty
        .chain(beside)
        .find(|class| !known.contains(class.as_str()) && !splits.contains(&class.as_str()))
    {
        Some(class) => Err(DataError::file(
            files.display(&format!("{before}{class}")),
            format!("a class folder of `{split}` without a JPEG or PNG image; fill it or remove it"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn touch(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    fn read_folder(names: &[&str]) -> Result<Source, String> {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), names);
        read(Files::open(folder.path()).unwrap(), None).map_err(|error| error.to_string())
    }

    fn classes_of(names: &[&str]) -> Vec<String> {
        read_folder(names).unwrap().classes.into_iter().map(|class| class.id).collect()
    }

    #[test]
    fn folders_without_splits_are_one_split() {
        assert_eq!(classes_of(&["b/2.jpg", "a/1.png"]), ["a", "b"]);
        assert_eq!(classes_of(&["set/b/2.jpg", "set/a/1.png"]), ["a", "b"]);
        assert_eq!(classes_of(&["set/b/images/2.jpg", "set/a/images/1.png"]), ["a", "b"]);
        assert_eq!(classes_of(&["cats/1.jpg", "cats/2.jpg"]), ["cats"]);
        assert_eq!(classes_of(&["all/cats/1.jpg", "all/cats/2.jpg"]), ["cats"]);
        let source = read_folder(&["b/2.jpg", "a/1.png", "a/notes.txt"]).unwrap();
        assert_eq!(source.splits.len(), 1);
        assert_eq!((source.splits[0].0.as_str(), &source.splits[0].1.labels), ("train", &vec![0, 1]));
        assert!(read_folder(&["1.jpg", "2.jpg"]).unwrap_err().contains("no class folders"));
    }

    #[test]
    fn splits_share_the_classes_of_the_training_images() {
        let source = read_folder(&["train/b/1.jpg", "train/a/1.jpg", "validation/b/9.JPEG"]).unwrap();
        assert_eq!(source.splits[1].0, "val");
        assert_eq!(source.splits[1].1.labels, [1]);
        let error = read_folder(&["train/a/1.jpg", "val/c/1.jpg"]).unwrap_err();
        assert!(error.contains("`c` is not a class of the training images"), "{error}");
        // To test weights on, that is enough.
        let source = read_folder(&["val/c/1.jpg", "val/a/1.jpg"]).unwrap();
        assert_eq!((source.splits[0].0.as_str(), source.classes.len()), ("val", 2));
    }

    #[test]
    fn an_empty_class_is_an_error() {
        let error = read_folder(&["train/a/1.jpg", "train/b/notes.txt"]).unwrap_err();
        assert!(error.contains("train/b: a class folder of `train` without"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), &["set/a/1.jpg", "set/b/1.jpg"]);
        fs::create_dir(folder.path().join("set/c")).unwrap();
        let error = read(Files::open(folder.path()).unwrap(), None).unwrap_err().to_string();
        assert!(error.contains("set/c: a class folder"), "{error}");
    }
}
