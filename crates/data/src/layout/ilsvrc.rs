//! ILSVRC-2012 as distributed and as packed by Kaggle. Training images are in tars or folders by WordNet id.
//! Validation images are in one folder, or sorted into such folders. Their labels are in the development kit, in
//! Kaggle's table or in the annotations, which also hold bounding boxes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::folders::without_label;
use super::images::images_of;
use super::names::{self, is_wnid};
use super::split;
use super::{BoundingBox, Class, Source, bounding_box, matlab};
use crate::files::{base, stem};
use crate::samples::{Images, LabelledImages};
use crate::{DataError, Files};

/// The development kit's file of labels, one per line, in the order of the validation images.
pub(super) const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";

/// Kaggle's tables of labels and boxes by image. This one has the labels of the validation images.
pub(super) const SOLUTION: &str = "LOC_val_solution.csv";
const TRAIN_SOLUTION: &str = "LOC_train_solution.csv";

/// The development kit's table of classes and their numbers.
const META: &str = "meta.mat";

fn parent(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

/// Returns the number, from 1, of `…/ILSVRC2012_val_00000001.JPEG`.
fn validation_number(path: &str) -> Option<usize> {
    stem(path).strip_prefix("ILSVRC2012_val_")?.parse().ok()
}

/// Returns whether the validation images are stored as distributed: by number, not by class.
pub(super) fn has_flat_validation_images(files: &Files) -> bool {
    files.names().filter(|name| validation_number(name).is_some() && !name.ends_with(".xml")).any(|name| {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = base(folder.strip_suffix("/images").unwrap_or(folder));
        folder.is_empty() || split::one_in(folder).is_some_and(|named| named.split == "val")
    })
}

pub(super) fn read(files: &Arc<Files>) -> Result<Source, DataError> {
    let tables = ["xml", "txt", "csv", "mat"];
    let is_table = |name: &&str| base(name).rsplit_once('.').is_some_and(|(_, end)| tables.contains(&end));
    let images = images_of(files, files.names().filter(|name| !is_table(name)))?;
    let places = split::folders(files, &images, true)?.unwrap_or_else(|| vec![None; images.len()]);
    // The WordNet id, if the folder is named by one, and the path.
    let (mut train, mut val, mut test) = (Vec::new(), Vec::new(), Vec::new());
    for (name, place) in images.iter().zip(places) {
        let wnid = Some(parent(name)).filter(|folder| is_wnid(folder));
        let split = place.map(|place| place.split);
        match (split, wnid) {
            (Some("train") | None, Some(wnid)) => train.push((wnid, *name)),
            (Some("val"), _) => val.push((wnid, *name)),
            (Some("test"), Some(wnid)) => test.push((wnid, *name)),
            (None, None) if validation_number(name).is_some() => val.push((None, *name)),
            (Some(split), None) => files.pass_over(name, &without_label(split)),
            _ => files.pass_over(name, "images in no split's folder"),
        }
    }
    let labels = Labels::read(files)?;
    val.sort_unstable_by_key(|(_, name)| (validation_number(name), *name));
    let val = val.into_iter().map(|(wnid, name)| {
        let wnid = match wnid {
            Some(wnid) => wnid.to_owned(),
            None => {
                labels.of(files, name).map_err(|problem| DataError::file(files.display(name), problem))?
            }
        };
        Ok((wnid, name))
    });
    let val: Vec<(String, &str)> = val.collect::<Result<_, DataError>>()?;
    let ids: BTreeSet<&str> = match train.is_empty() {
        false => train.iter().map(|(wnid, _)| *wnid).collect(),
        true if !labels.kit.classes.is_empty() => labels.kit.wnids(),
        true if !labels.ids.is_empty() => labels.ids.iter().map(String::as_str).collect(),
        true => val.iter().map(|(wnid, _)| wnid.as_str()).chain(test.iter().map(|(wnid, _)| *wnid)).collect(),
    };
    let mut classes: Vec<Class> = ids.into_iter().map(Class::unnamed).collect();
    labels.kit.name(&mut classes);
    names::give(files, &mut classes)?;
    let order: BTreeMap<&str, u32> = classes.iter().map(|class| class.id.as_str()).zip(0..).collect();
    let split = |entries: Vec<(&str, &str)>| -> Result<LabelledImages, DataError> {
        let label = |(wnid, name): &(&str, &str)| {
            order.get(wnid).copied().ok_or_else(|| {
                let problem =
                    format!("is of class {wnid}, which is not among the {} classes here", classes.len());
                DataError::file(files.display(name), problem)
            })
        };
        Ok(LabelledImages {
            images: Images::Files(files.clone()),
            labels: entries.iter().map(label).collect::<Result<_, _>>()?,
            keys: entries.iter().map(|(_, name)| (*name).to_owned()).collect(),
            boxes: Vec::new(),
        })
    };
    let val = val.iter().map(|(wnid, name)| (wnid.as_str(), *name)).collect();
    let mut splits = Vec::new();
    for (name, entries) in [("train", train), ("val", val), ("test", test)] {
        let mut images = split(entries)?;
        images.boxes = labels.boxes(files, &images.keys)?;
        if !images.labels.is_empty() {
            splits.push((name.to_owned(), images));
        }
    }
    if splits.is_empty() {
        return Err(DataError::file(files.display(""), "is laid out as ILSVRC-2012 but holds no images"));
    }
    Ok(Source::new("ILSVRC-2012", classes, splits))
}

/// All sources of labels and boxes.
struct Labels<'a> {
    kit: Kit,
    /// Kaggle's rows by image name without extension: the first object's WordNet id, and all boxes.
    rows: BTreeMap<String, (String, Vec<BoundingBox>)>,
    /// The thousand ids in Kaggle's table of classes.
    ids: Vec<String>,
    /// Paths of annotations by image name without extension.
    annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> Labels<'a> {
    fn read(files: &'a Files) -> Result<Self, DataError> {
        let mut rows = BTreeMap::new();
        for table in [SOLUTION, TRAIN_SOLUTION] {
            let Some(name) = files.find(table) else { continue };
            for (number, line) in names::text(files, name)?.lines().enumerate().skip(1) {
                let row = solution(line).map_err(|problem| {
                    DataError::file(files.display(name), format!("line {}: {problem}", number + 1))
                })?;
                rows.insert(row.0.to_owned(), (row.1.to_owned(), row.2));
            }
        }
        let annotations = files.names().filter(|name| name.ends_with(".xml"));
        Ok(Self {
            kit: Kit::read(files)?,
            rows,
            ids: names::kaggles_ids(files)?,
            annotations: annotations.map(|name| (stem(name), name)).collect(),
        })
    }

    /// Returns the class of a validation image that is not in a class folder.
    fn of(&self, files: &Files, name: &str) -> Result<String, String> {
        if let Some((wnid, _)) = self.rows.get(stem(name)) {
            return Ok(wnid.clone());
        }
        let without_kit = self.kit.truth.is_empty() || self.kit.meta.is_none();
        if without_kit && let Some(annotation) = self.annotations.get(stem(name)) {
            let bytes = files.read(annotation).map_err(|error| error.to_string())?;
            let named = self::annotation(&bytes).and_then(|(classes, _)| {
                let first = classes.first().filter(|first| is_wnid(first));
                let first = first.ok_or("names no object by a WordNet id")?;
                match classes.iter().all(|class| class == first) {
                    true => Ok(first.clone()),
                    false => Err("names objects of several classes".into()),
                }
            });
            return named.map_err(|problem| format!("its annotation {annotation} {problem}"));
        }
        let number = validation_number(name);
        let number =
            number.ok_or("is not called `ILSVRC2012_val_` and a number, and has no label elsewhere")?;
        self.kit.validation_class(number).map(str::to_owned)
    }

    /// Returns the boxes of each image from its annotation or Kaggle's row, or nothing if no image has any.
    fn boxes(&self, files: &Files, keys: &[String]) -> Result<Vec<Vec<BoundingBox>>, DataError> {
        if self.annotations.is_empty() && self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let of = |key: &String| {
            let Some(name) = self.annotations.get(stem(key)) else {
                return Ok(self.rows.get(stem(key)).map_or_else(Vec::new, |(_, boxes)| boxes.clone()));
            };
            let parsed = annotation(&files.read(name)?);
            parsed.map(|(_, boxes)| boxes).map_err(|problem| DataError::file(files.display(name), problem))
        };
        keys.iter().map(of).collect()
    }
}

/// Parses an image's name, class and boxes from a row of Kaggle's tables: `name,n03995372 85 1 499 272 n03995372
/// …`. Fields may be quoted.
fn solution(line: &str) -> Result<(&str, &str, Vec<BoundingBox>), String> {
    let (image, objects) = line.split_once(',').ok_or("has no comma")?;
    let [image, objects] = [image, objects].map(|field| field.trim().trim_matches('"'));
    let fields: Vec<&str> = objects.split_whitespace().collect();
    let class = *fields.first().filter(|id| is_wnid(id)).ok_or("names no class by a WordNet id")?;
    let boxes = fields.chunks(5).map(|object| match object[0] == class {
        true => bounding_box(object[1..].iter().copied()),
        false => Err(format!("has the classes {class} and {}", object[0])),
    });
    Ok((image, class, boxes.collect::<Result<_, _>>()?))
}

/// The contents of the development kit. It numbers classes in its own order, while the common order is that of the
/// sorted WordNet ids.
#[derive(Default)]
struct Kit {
    /// WordNet id and words of each class, by the kit's class number.
    classes: BTreeMap<usize, (String, String)>,
    /// The kit's class number of each validation image.
    truth: Vec<usize>,
    /// The file with the table of classes.
    meta: Option<String>,
}

impl Kit {
    fn read(files: &Files) -> Result<Self, DataError> {
        let mut kit = Self::default();
        if let Some(name) = files.find(META) {
            let synsets = matlab::synsets(&files.read(name)?)
                .map_err(|problem| DataError::file(files.display(name), problem))?;
            // Numbers above 1000 are inner nodes of the tree.
            let leaves = synsets.into_iter().filter(|synset| synset.children == 0);
            kit.classes = leaves.map(|synset| (synset.number, (synset.wnid, synset.words))).collect();
            kit.meta = Some(files.display(name));
        }
        if let Some(name) = files.find(GROUND_TRUTH) {
            let text = String::from_utf8_lossy(&files.read(name)?).into_owned();
            for (line, number) in text.lines().map(str::trim).enumerate().filter(|(_, text)| !text.is_empty())
            {
                let problem = |problem: String| {
                    DataError::file(files.display(name), format!("line {}: {problem}", line + 1))
                };
                let number: usize = number.parse().map_err(|_| problem(format!("`{number}` is no class")))?;
                if kit.meta.is_some() && !kit.classes.contains_key(&number) {
                    return Err(problem(format!("class {number} is not in {META}")));
                }
                kit.truth.push(number);
            }
        }
        Ok(kit)
    }

    fn wnids(&self) -> BTreeSet<&str> {
        self.classes.values().map(|(wnid, _)| wnid.as_str()).collect()
    }

    fn name(&self, classes: &mut [Class]) {
        let words: BTreeMap<&str, &str> =
            self.classes.values().map(|(wnid, words)| (wnid.as_str(), words.as_str())).collect();
        for class in classes {
            if let Some(words) = words.get(class.id.as_str()) {
                class.name = (*words).to_owned();
            }
        }
    }

    /// Returns the class of the validation image with this number, counted from 1.
    fn validation_class(&self, number: usize) -> Result<&str, String> {
        if self.truth.is_empty() || self.meta.is_none() {
            return Err(format!(
                "the labels of validation images are in the development kit ({GROUND_TRUTH} and {META}); put \
                 ILSVRC2012_devkit_t12.tar.gz or Kaggle's {SOLUTION} beside them, or sort them into folders by class"
            ));
        }
        let class = number.checked_sub(1).and_then(|at| self.truth.get(at));
        let class = class.ok_or_else(|| format!("{GROUND_TRUTH} has {} lines", self.truth.len()))?;
        Ok(&self.classes[class].0)
    }
}

/// Returns the classes and boxes of the objects in an annotation in PASCAL VOC's XML.
pub(crate) fn annotation(bytes: &[u8]) -> Result<(Vec<String>, Vec<BoundingBox>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let document = roxmltree::Document::parse(text).map_err(|error| format!("broken XML ({error})"))?;
    let boxes = document.descendants().filter(|node| node.has_tag_name("bndbox")).map(|node| {
        let side = |tag: &str| node.children().find(|child| child.has_tag_name(tag))?.text();
        let sides: Option<Vec<&str>> = ["xmin", "ymin", "xmax", "ymax"].into_iter().map(side).collect();
        let sides = sides.ok_or("a `bndbox` without `xmin`, `ymin`, `xmax` or `ymax`")?;
        bounding_box(sides.into_iter())
    });
    let objects = document.descendants().filter(|node| node.has_tag_name("object"));
    let names = objects.filter_map(|node| node.children().find(|child| child.has_tag_name("name"))?.text());
    Ok((names.map(|name| name.trim().to_owned()).collect(), boxes.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests;
