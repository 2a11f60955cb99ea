//! Tiny-ImageNet-200: `train/<wnid>/images` with boxes beside them. Validation images are as distributed, with
//! `val/val_annotations.txt`, or sorted into class folders, as is common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::folders::{self, Sorted};
use super::images::images_of;
use super::{BoundingBox, Source, bounding_box, names, split};
use crate::files::base;
use crate::samples::LabelledImages;
use crate::{DataError, Files, Manifest};

/// The file with the labels and boxes of the validation images.
pub(super) const ANNOTATIONS: &str = "val_annotations.txt";
/// The suffix of the file with a training class's boxes.
pub(super) const BOXES: &str = "_boxes.txt";

/// Returns the non-empty lines of a tab-separated text file, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number + 1, line.split('\t').collect()))
}

pub(super) fn read(files: &Arc<Files>, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    let images = images_of(files, files.names().filter(|name| !name.ends_with(".txt")))?;
    let places = split::folders(files, &images, true)?.unwrap_or_else(|| vec![None; images.len()]);
    let found = folders::found(files, &images, places);
    let train = folders::sorted(files, &found, "train");
    let mut classes = folders::classes(manifest, &train);
    names::give(files, &mut classes)?;
    // This file repeats the classes.
    files.find("wnids.txt").into_iter().for_each(|name| files.mark_used(name));
    let annotated = annotations(files)?;
    let mut val: Vec<(String, &str)> = Vec::new();
    for (name, place) in found.iter().filter(|(_, place)| place.split == "val") {
        // The class folder decides, if there is one.
        let by_folder = folders::Sorted::new(name, folders::below_images(place.below))
            .map(|image| image.class.to_owned());
        let class = by_folder.or_else(|| annotated.get(base(name)).map(|(class, _)| class.clone()));
        match class {
            Some(class) => val.push((class, *name)),
            None => files.pass_over(name, &folders::without_label("val")),
        }
    }
    let present: BTreeSet<&str> = val.iter().map(|(_, name)| base(name)).collect();
    if let Some(absent) = annotated.keys().find(|file| !present.contains(file.as_str())) {
        let problem = format!("names `{absent}`, which is not there");
        return Err(DataError::file(files.display(files.find(ANNOTATIONS).unwrap_or_default()), problem));
    }
    let test: Vec<Sorted<'_>> = folders::sorted(files, &found, "test");
    let val: Vec<(&str, &str)> = val.iter().map(|(class, name)| (class.as_str(), *name)).collect();
    let mut train = folders::labelled(files, &classes, &folders::pairs(&train))?;
    train.boxes = boxes(files, &train.keys)?;
    let mut val = folders::labelled(files, &classes, &val)?;
    if !annotated.is_empty() {
        let boxes = |key: &String| annotated.get(base(key)).map(|(_, one)| *one).into_iter().collect();
        val.boxes = val.keys.iter().map(boxes).collect();
    }
    let test = folders::labelled(files, &classes, &folders::pairs(&test))?;
    let mut splits = vec![("train".to_owned(), train), ("val".to_owned(), val), ("test".to_owned(), test)];
    splits.retain(|(_, images): &(String, LabelledImages)| !images.labels.is_empty());
    Ok(Source::new("Tiny-ImageNet", classes, splits))
}

/// Returns class and box of each validation image by file name, or nothing if the annotations file is missing.
fn annotations(files: &Files) -> Result<BTreeMap<String, (String, BoundingBox)>, DataError> {
    let Some(name) = files.find(ANNOTATIONS) else { return Ok(BTreeMap::new()) };
    let text = names::text(files, name)?;
    let parsed = lines(&text).map(|(number, fields)| {
        let problem =
            |problem: String| DataError::file(files.display(name), format!("line {number}: {problem}"));
        let [file, class, rest @ ..] = fields.as_slice() else {
            return Err(problem(format!("cannot read `{}`", fields.join(" "))));
        };
        let one = bounding_box(rest.iter().copied()).map_err(problem)?;
        Ok(((*file).to_owned(), ((*class).to_owned(), one)))
    });
    parsed.collect()
}

/// Returns the box of each training image from the `<wnid>_boxes.txt` of its class. Boxes are found by the image's
/// file name, which begins with the class. A class without such a file has none.
fn boxes(files: &Files, keys: &[String]) -> Result<Vec<Vec<BoundingBox>>, DataError> {
    let mut found = BTreeMap::new();
    for name in files.names().filter(|name| name.ends_with(BOXES)) {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, fields) in lines(&names::text(files, name)?) {
            let parsed = bounding_box(fields[1..].iter().copied()).map_err(|problem| {
                DataError::file(files.display(name), format!("line {number}: {problem}"))
            })?;
            found.insert((folder.to_owned(), fields[0].to_owned()), parsed);
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let of = |key: &String| {
        let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = folder.strip_suffix("/images").unwrap_or(folder);
        found.get(&(folder.to_owned(), base(key).to_owned())).into_iter().copied().collect()
    };
    Ok(keys.iter().map(of).collect())
}
