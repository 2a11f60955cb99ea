//! Tiny-ImageNet-200 as it is distributed: `train/<wnid>/images`, boxes beside them, and `val/val_annotations.txt`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Class, Source, bounding_box, folders};
use crate::{DataError, Files, Manifest};

/// Lines of a text file with tabs between fields, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number + 1, line.split('\t').collect()))
}

pub(super) fn read(files: Files, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    let files = Arc::new(files);
    let train = folders::by_split(&files, "train");
    let mut classes = folders::classes(manifest, &train);
    name(&files, &mut classes)?;
    let annotations = files
        .find("val/val_annotations.txt")
        .ok_or_else(|| DataError::file(files.display(""), "holds no `val/val_annotations.txt`"))?;
    let text = text(&files, annotations)?;
    let folder = annotations.trim_end_matches("val_annotations.txt");
    let (mut val, mut val_boxes) = (Vec::new(), Vec::new());
    for (number, fields) in lines(&text) {
        let problem = |problem: String| {
            DataError::file(files.display(annotations), format!("line {number}: {problem}"))
        };
        let [file, class, rest @ ..] = fields.as_slice() else {
            return Err(problem(format!("cannot read `{}`", fields.join(" "))));
        };
        val.push((*class, format!("{folder}images/{file}")));
        val_boxes.push(vec![bounding_box(rest.iter().copied()).map_err(problem)?]);
    }
    let val: Vec<(&str, &str)> = val.iter().map(|(class, name)| (*class, name.as_str())).collect();
    let mut train = folders::labelled(&files, &classes, &train)?;
    train.boxes = boxes(&files, &train.keys)?;
    let mut val = folders::labelled(&files, &classes, &val)?;
    val.boxes = val_boxes;
    Ok(Source::new("Tiny-ImageNet", classes, vec![("train".into(), train), ("val".into(), val)]))
}

fn text(files: &Files, name: &str) -> Result<String, DataError> {
    String::from_utf8(files.read(name)?).map_err(|_| DataError::file(files.display(name), "is not UTF-8"))
}

/// What `words.txt` calls the classes, if it is there.
pub(super) fn name(files: &Files, classes: &mut [Class]) -> Result<(), DataError> {
    let Some(words) = files.find("words.txt") else { return Ok(()) };
    let text = text(files, words)?;
    let names: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    for class in classes {
        if let Some(name) = names.get(class.id.as_str()) {
            class.name = (*name).to_owned();
        }
    }
    Ok(())
}

/// The box of each training image, from the `<wnid>_boxes.txt` of its class; none where a class has no such file.
fn boxes(files: &Files, keys: &[String]) -> Result<Vec<Vec<[f32; 4]>>, DataError> {
    let mut found = BTreeMap::new();
    for name in files.names().filter(|name| name.ends_with("_boxes.txt")) {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, fields) in lines(&text(files, name)?) {
            let parsed = bounding_box(fields[1..].iter().copied()).map_err(|problem| {
                DataError::file(files.display(name), format!("line {number}: {problem}"))
            })?;
            found.insert(format!("{folder}/images/{}", fields[0]), parsed);
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    Ok(keys.iter().map(|key| found.get(key).into_iter().copied().collect()).collect())
}
