//! ILSVRC-2012 as it is distributed: tars or folders of training images by WordNet id, validation images in one
//! folder or sorted into such folders, the development kit, bounding boxes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{BoundingBox, Class, Source, bounding_box, is_image, matlab, tiny_imagenet};
use crate::dataset::{Images, LabelledImages};
use crate::{DataError, Files};

/// The development kit's file of labels, one a line, in the order of the validation images.
pub(super) const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";

/// The development kit's table of classes, with their numbers there.
const META: &str = "meta.mat";

/// A WordNet id: `n` and eight digits.
fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|byte| byte.is_ascii_digit())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn parent(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

/// The number, from 1, of `…/ILSVRC2012_val_00000001.JPEG`.
pub(super) fn validation_number(path: &str) -> Option<usize> {
    let (stem, _) = file_name(path).strip_prefix("ILSVRC2012_val_")?.split_once('.')?;
    is_image(path).then(|| stem.parse().ok()).flatten()
}

pub(super) fn read(files: Files) -> Result<Source, DataError> {
    let files = Arc::new(files);
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for name in files.names().filter(|name| is_image(name)) {
        if let Some(number) = validation_number(name) {
            val.push((number, name));
        } else if is_wnid(parent(name)) {
            train.push((parent(name), name));
        }
    }
    let kit = Kit::read(&files)?;
    let mut classes: Vec<Class> = match train.is_empty() {
        false => train
            .iter()
            .map(|(wnid, _)| *wnid)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(Class::unnamed)
            .collect(),
        true => kit.wnids().into_iter().map(Class::unnamed).collect(),
    };
    kit.name(&mut classes);
    name_by_synset_words(&files, &mut classes)?;
    let order: BTreeMap<&str, u32> = classes.iter().map(|class| class.id.as_str()).zip(0..).collect();
    let label = |wnid: &str, name: &str| {
        order.get(wnid).copied().ok_or_else(|| {
            let problem =
                format!("is of class {wnid}, which is not among the {} classes here", classes.len());
            DataError::file(files.display(name), problem)
        })
    };

    let split = |entries: Vec<(u32, &str)>| LabelledImages {
        images: Images::Files(files.clone()),
        labels: entries.iter().map(|(label, _)| *label).collect(),
        keys: entries.iter().map(|(_, name)| (*name).to_owned()).collect(),
        boxes: Vec::new(),
    };
    let train = train.into_iter().map(|(wnid, name)| Ok((label(wnid, name)?, name)));
    let mut train = split(train.collect::<Result<_, DataError>>()?);
    val.sort_unstable();
    let val = val.into_iter().map(|(number, name)| {
        let wnid = match parent(name) {
            folder if is_wnid(folder) => folder,
            _ => kit
                .validation_class(number)
                .map_err(|problem| DataError::file(files.display(name), problem))?,
        };
        Ok((label(wnid, name)?, name))
    });
    let mut val = split(val.collect::<Result<_, DataError>>()?);
    let annotations: BTreeMap<&str, &str> = files
        .names()
        .filter(|name| name.ends_with(".xml"))
        .map(|name| (file_name(name).trim_end_matches(".xml"), name))
        .collect();
    if !annotations.is_empty() {
        for split in [&mut train, &mut val] {
            split.boxes = boxes(&files, &annotations, &split.keys)?;
        }
    }
    let splits = [("train", train), ("val", val)].map(|(name, split)| (name.to_owned(), split));
    let splits: Vec<_> = splits.into_iter().filter(|(_, split)| !split.labels.is_empty()).collect();
    if splits.is_empty() {
        return Err(DataError::file(files.display(""), "is laid out as ILSVRC-2012 but holds no images"));
    }
    Ok(Source::new("ILSVRC-2012", classes, splits))
}

/// What the development kit says. Its numbers of classes are in an order of its own; what everybody uses is the
/// order of the sorted WordNet ids.
#[derive(Default)]
struct Kit {
    /// WordNet id and words of each class, by the kit's number.
    classes: BTreeMap<usize, (String, String)>,
    /// The kit's number of each validation image's class.
    truth: Vec<usize>,
    /// Where the table of classes is.
    meta: Option<String>,
}

impl Kit {
    fn read(files: &Files) -> Result<Self, DataError> {
        let mut kit = Self::default();
        if let Some(name) = files.find(META) {
            let synsets = matlab::synsets(&files.read(name)?)
                .map_err(|problem| DataError::file(files.display(name), problem))?;
            // Numbers beyond the 1000 are of inner nodes of the tree.
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

    /// The class of the validation image with this number, from 1.
    fn validation_class(&self, number: usize) -> Result<&str, String> {
        if self.truth.is_empty() || self.meta.is_none() {
            return Err(format!(
                "the labels of validation images are in the development kit ({GROUND_TRUTH} and {META}); put \
                 ILSVRC2012_devkit_t12.tar.gz beside them, or sort them into folders by class"
            ));
        }
        let class = number.checked_sub(1).and_then(|at| self.truth.get(at));
        let class = class.ok_or_else(|| format!("{GROUND_TRUTH} has {} lines", self.truth.len()))?;
        Ok(&self.classes[class].0)
    }
}

/// Names from `synset_words.txt` (Caffe) or `LOC_synset_mapping.txt` (Kaggle): `n01440764 tench, Tinca tinca`; or from
/// `words.txt`.
fn name_by_synset_words(files: &Files, classes: &mut [Class]) -> Result<(), DataError> {
    tiny_imagenet::name(files, classes)?;
    let Some(name) = files.find("synset_words.txt").or_else(|| files.find("LOC_synset_mapping.txt")) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&files.read(name)?).into_owned();
    let words: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    for class in classes {
        if let Some(words) = words.get(class.id.as_str()) {
            class.name = words.trim().to_owned();
        }
    }
    Ok(())
}

fn boxes(
    files: &Files,
    annotations: &BTreeMap<&str, &str>,
    keys: &[String],
) -> Result<Vec<Vec<BoundingBox>>, DataError> {
    let of = |key: &String| {
        let stem = file_name(key).rsplit_once('.').map_or(key.as_str(), |(stem, _)| stem);
        let Some(name) = annotations.get(stem) else { return Ok(Vec::new()) };
        annotation(&files.read(name)?).map_err(|problem| DataError::file(files.display(name), problem))
    };
    keys.iter().map(of).collect()
}

/// The boxes of an annotation in PASCAL VOC's XML.
pub(crate) fn annotation(bytes: &[u8]) -> Result<Vec<BoundingBox>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let document = roxmltree::Document::parse(text).map_err(|error| format!("broken XML ({error})"))?;
    let boxes = document.descendants().filter(|node| node.has_tag_name("bndbox")).map(|node| {
        let side = |tag: &str| node.children().find(|child| child.has_tag_name(tag))?.text();
        let sides: Option<Vec<&str>> = ["xmin", "ymin", "xmax", "ymax"].into_iter().map(side).collect();
        let sides = sides.ok_or("a `bndbox` without `xmin`, `ymin`, `xmax` or `ymax`")?;
        bounding_box(sides.into_iter())
    });
    boxes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Made by `tests/golden/meta.py` with scipy: four classes whose numbers are not in the order of their ids, and
    /// an inner node.
    const META: &[u8] = include_bytes!("../../../../tests/golden/meta.mat");

    fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn kit(root: &Path, truth: &str) {
        write(root, "ILSVRC2012_devkit_t12/data/meta.mat", META);
        write(root, &format!("ILSVRC2012_devkit_t12/data/{GROUND_TRUTH}"), truth);
    }

    fn read_folder(root: &Path) -> Result<Source, String> {
        read(Files::open(root).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_kits_numbers_become_places_among_the_sorted_ids() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        // By number: 1 n02119789, 2 n01440764, 3 n02100735, 4 n01443537; sorted: 1440764, 1443537, 2100735, 2119789.
        kit(root, "3\n1\n4\n2\n");
        for number in 1..=4 {
            write(root, &format!("ILSVRC2012_img_val/ILSVRC2012_val_0000000{number}.JPEG"), "x");
        }
        let source = read_folder(root).unwrap();
        let ids: Vec<&str> = source.classes.iter().map(|class| class.id.as_str()).collect();
        assert_eq!(ids, ["n01440764", "n01443537", "n02100735", "n02119789"]);
        assert_eq!(source.classes[0].name, "tench, Tinca tinca");
        assert_eq!((source.splits[0].0.as_str(), &source.splits[0].1.labels[..]), ("val", &[2, 3, 1, 0][..]));

        // The same with training images beside, of which there are only three classes.
        for wnid in ["n01440764", "n02100735", "n02119789"] {
            write(root, &format!("train/{wnid}/{wnid}_1.JPEG"), "x");
        }
        let error = read_folder(root).unwrap_err();
        assert!(
            error.contains("val_00000003.JPEG: is of class n01443537, which is not among the 3"),
            "{error}"
        );
        write(root, "train/n01443537/n01443537_9.JPEG", "x");
        let source = read_folder(root).unwrap();
        assert_eq!(source.splits[0].1.labels, [0, 1, 2, 3]);
        assert_eq!(source.splits[1].1.labels, [2, 3, 1, 0]);
    }

    #[test]
    fn validation_images_in_class_folders_need_no_kit() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (wnid, number) in [("n02100735", 1), ("n01440764", 2)] {
            write(root, &format!("train/{wnid}/{wnid}_1.JPEG"), "x");
            write(root, &format!("val/{wnid}/ILSVRC2012_val_0000000{number}.JPEG"), "x");
        }
        write(root, "LOC_synset_mapping.txt", "n01440764 tench, Tinca tinca\nn02100735 English setter\n");
        let source = read_folder(root).unwrap();
        assert_eq!(source.splits[1].1.labels, [1, 0]);
        assert_eq!(source.classes[1].name, "English setter");
        write(root, "val/ILSVRC2012_val_00000003.JPEG", "x");
        let error = read_folder(root).unwrap_err();
        assert!(
            error.contains("val_00000003.JPEG: the labels of validation images are in the development kit"),
            "{error}"
        );
    }

    #[test]
    fn boxes_come_from_annotations_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        kit(root, "2\n");
        write(root, "ILSVRC2012_img_val/ILSVRC2012_val_00000001.JPEG", "x");
        write(root, "train/n01440764/n01440764_1.JPEG", "x");
        let one = "<annotation><object><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>50</xmax><ymax>60</ymax></bndbox></object></annotation>";
        write(root, "bbox/val/ILSVRC2012_val_00000001.xml", one);
        let source = read_folder(root).unwrap();
        assert_eq!(source.splits[0].1.boxes, [Vec::<BoundingBox>::new()]);
        assert_eq!(source.splits[1].1.boxes, [[[3.0, 4.0, 50.0, 60.0]]]);
        for (broken, expected) in
            [(&one[..40], "broken XML"), ("<a><bndbox><xmin>3</xmin></bndbox></a>", "without")]
        {
            write(root, "bbox/val/ILSVRC2012_val_00000001.xml", broken);
            let error = read_folder(root).unwrap_err();
            assert!(error.contains(expected) && error.contains("00000001.xml"), "{error}");
        }
    }

    #[test]
    fn labels_out_of_range_and_missing_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "val/ILSVRC2012_val_00000002.JPEG", "x");
        for (truth, expected) in [
            ("1\n7\n", "line 2: class 7 is not in meta.mat"),
            ("1\nx\n", "line 2: `x` is no class"),
            ("1\n", "val_00000002.JPEG: ILSVRC2012_validation_ground_truth.txt has 1 lines"),
            ("5\n1\n", "line 1: class 5 is not in meta.mat"),
        ] {
            kit(root, truth);
            let error = read_folder(root).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        write(root, "ILSVRC2012_devkit_t12/data/meta.mat", &META[..META.len() / 2]);
        assert!(read_folder(root).unwrap_err().contains("meta.mat: "));
    }
}
