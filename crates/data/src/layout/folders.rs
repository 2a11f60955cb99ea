//! Class folders, `train/<class>/…` and `test/<class>/…`, or `<class>/…` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::images::images_of;
use super::split::{self, Found, SPLITS};
use super::{Class, Source, masks, names};
use crate::samples::{Images, LabelledImages};
use crate::{DataError, Files, Manifest};

/// An image and its class, which is the name of its folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted<'a> {
    pub(super) class: &'a str,
    /// The full path.
    pub(super) name: &'a str,
    /// The path above the class folder: empty, or with a slash at the end.
    above: &'a str,
}

/// Returns the part of a path below a leading `images` folder. Some data sets have this folder between a split and
/// its classes.
pub(super) fn below_images(path: &str) -> &str {
    match path.split_once('/') {
        Some((folder, rest)) if folder.eq_ignore_ascii_case("images") => rest,
        _ => path,
    }
}

impl<'a> Sorted<'a> {
    /// Creates an image in a class folder. `below` is the end of its path, from the class folder on.
    pub(super) fn new(name: &'a str, below: &'a str) -> Option<Self> {
        let (class, _) = below.split_once('/')?;
        Some(Self { class, name, above: &name[..name.len() - below.len()] })
    }
}

/// Returns the images of a split that are in class folders. The others are counted as unlabelled.
pub(super) fn sorted<'a>(files: &Files, found: &[(&'a str, Found<'a>)], split: &str) -> Vec<Sorted<'a>> {
    let of_split = || found.iter().filter(|(_, found)| found.split == split);
    // Beside other folders, `images` is a class.
    let in_images = of_split().all(|(_, found)| below_images(found.below) != found.below);
    let sorted = of_split().filter_map(|(name, found)| {
        let below = if in_images { below_images(found.below) } else { found.below };
        let sorted = Sorted::new(name, below);
        if sorted.is_none() {
            files.pass_over(name, &without_label(split));
        }
        sorted
    });
    sorted.collect()
}

pub(super) fn without_label(split: &str) -> String {
    format!("{split} images without a label")
}

/// Returns the images with the split folder of each. Images in no split folder are counted.
pub(super) fn found<'a>(
    files: &Files,
    images: &[&'a str],
    places: Vec<Option<Found<'a>>>,
) -> Vec<(&'a str, Found<'a>)> {
    let found = images.iter().zip(places).filter_map(|(name, place)| {
        if place.is_none() {
            files.pass_over(name, "images in no split's folder");
        }
        Some((*name, place?))
    });
    found.collect()
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

/// Returns the manifest's classes, or the sorted classes of these images.
pub(super) fn classes(manifest: Option<&Manifest>, images: &[Sorted<'_>]) -> Vec<Class> {
    match manifest {
        Some(manifest) if !manifest.classes.is_empty() => {
            manifest.classes.iter().map(Class::unnamed).collect()
        }
        _ => {
            let found: BTreeSet<&str> = images.iter().map(|image| image.class).collect();
            found.into_iter().map(Class::unnamed).collect()
        }
    }
}

/// Returns images in the form that [`labelled`] takes.
pub(super) fn pairs<'a>(images: &[Sorted<'a>]) -> Vec<(&'a str, &'a str)> {
    images.iter().map(|image| (image.class, image.name)).collect()
}

pub(super) fn read(files: &Arc<Files>, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    let pictures = images_of(files, files.names())?;
    let number = pictures.len();
    let images = masks::pass_over(files, pictures);
    let mut splits: Vec<(&str, Vec<Sorted<'_>>)> = match split::folders(files, &images, false)? {
        Some(places) => {
            let found = found(files, &images, places);
            SPLITS.iter().map(|(split, _)| (*split, sorted(files, &found, split))).collect()
        }
        None => vec![("train", unsplit(files, &images, images.len() < number)?)],
    };
    splits.retain(|(_, images)| !images.is_empty());
    if splits.iter().any(|(_, images)| images.iter().any(|image| split::of_folder(image.above).is_some())) {
        let missing = |folder: &&String| {
            split::of_folder(folder).is_some_and(|split| splits.iter().all(|(other, _)| *other != split))
        };
        if let Some(folder) = files.empty_folders().iter().find(missing) {
            let problem = "is empty, and so is its split; fill it or remove it";
            return Err(DataError::file(files.display(folder), problem));
        }
    }
    let Some((_, first)) = splits.first() else { return Err(no_class_folders(files)) };
    let mut classes = classes(manifest, first);
    names::give(files, &mut classes)?;
    let known: BTreeSet<&str> = classes.iter().map(|class| class.id.as_str()).collect();
    splits.retain(|(split, images)| {
        let unsorted = *split == "test" && are_unsorted(images, &known);
        if unsorted {
            images.iter().for_each(|image| files.pass_over(image.name, &without_label(split)));
        }
        !unsorted
    });
    for (split, images) in &splits {
        no_empty_class(files, split, images)?;
    }
    let splits = splits
        .into_iter()
        .map(|(split, images)| Ok((split.to_owned(), labelled(files, &classes, &pairs(&images))?)));
    let splits = splits.collect::<Result<_, DataError>>()?;
    Ok(Source::new("class folders", classes, splits))
}

/// Returns whether images are in one folder that is not a class. Unlabelled test images are stored in this way.
fn are_unsorted(images: &[Sorted<'_>], known: &BTreeSet<&str>) -> bool {
    let first = images.first().map_or("", |image| image.class);
    !known.contains(first) && images.iter().all(|image| image.class == first)
}

fn no_class_folders(files: &Files) -> DataError {
    DataError::file(files.display(""), "has no class folders with JPEG or PNG images in them")
}

/// Returns the images of class folders without splits. The class is the first folder in which paths differ. With
/// `masked`, a folder `images` is beside masks, so it is no class.
fn unsplit<'a>(files: &Files, images: &[&'a str], masked: bool) -> Result<Vec<Sorted<'a>>, DataError> {
    let folders = || images.iter().filter_map(|name| name.rsplit_once('/')).map(|(folder, _)| folder);
    let Some(first) = folders().next() else { return Err(no_class_folders(files)) };
    // The folders that all images share, except the last one if it directly contains images.
    let common = folders().fold(first.split('/').collect::<Vec<_>>(), |common, folder| {
        common.into_iter().zip(folder.split('/')).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    });
    let deepest = folders().any(|folder| folder.split('/').count() == common.len());
    let depth = common.len() - usize::from(deepest && !common.is_empty());
    let above: usize = common[..depth].iter().map(|folder| folder.len() + 1).sum();
    let sorted = images.iter().filter_map(|name| {
        let class = name.get(above..).and_then(|below| below.split_once('/')).map(|(class, _)| class);
        if class.is_none() {
            files.pass_over(name, "images in no class folder");
        }
        Some(Sorted { class: class?, name, above: &name[..above] })
    });
    let sorted: Vec<_> = sorted.collect();
    let no_class =
        |class: &str| split::exact(class).is_some() || (masked && class.eq_ignore_ascii_case(masks::IMAGES));
    if sorted.iter().all(|image| no_class(image.class)) || are_splits(&sorted) {
        let of_train = |image: &&Sorted<'_>| split::one_in(image.class).is_some_and(|it| it.split == "train");
        let first = sorted.iter().find(of_train).or(sorted.first());
        let folder = first.map_or("", |image| &image.name[..above + image.class.len()]);
        let problem = "holds images that are in no class folder, so they have no labels; sort them into folders \
                       called by their classes";
        return Err(DataError::file(files.display(folder), problem));
    }
    Ok(sorted)
}

/// Returns whether the folders of these images are called after the training split and others, as `train` and
/// `test1` are.
fn are_splits(images: &[Sorted<'_>]) -> bool {
    let split = |image: &Sorted<'_>| Some(split::one_in(image.class)?.split);
    let splits: Option<BTreeSet<&str>> = images.iter().map(split).collect();
    splits.is_some_and(|splits| splits.contains("train") && splits.len() > 1)
}

/// Returns an error if a class folder has no images: the class would never occur.
fn no_empty_class(files: &Files, split: &str, images: &[Sorted<'_>]) -> Result<(), DataError> {
    let above: BTreeSet<&str> = images.iter().map(|image| image.above).collect();
    let known: BTreeSet<&str> = images.iter().map(|image| image.class).collect();
    for above in above {
        let empty = files.empty_folders().iter().filter_map(|folder| folder.strip_prefix(above));
        let empty = empty.map(|below| below.split('/').next().unwrap_or(below));
        let beside = files.names().filter_map(|name| name.strip_prefix(above)?.split_once('/'));
        let is_other = |class: &&str| !known.contains(class) && split::one_in(class).is_none();
        if let Some(class) = empty.chain(beside.map(|(class, _)| class)).find(is_other) {
            return Err(DataError::file(
                files.display(&format!("{above}{class}")),
                format!("a class folder of `{split}` without a JPEG or PNG image; fill it or remove it"),
            ));
        }
    }
    Ok(())
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
        read(&Arc::new(Files::open(folder.path()).unwrap()), None).map_err(|error| error.to_string())
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
        // This is enough to evaluate weights.
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
        let error = read(&Arc::new(Files::open(folder.path()).unwrap()), None).unwrap_err().to_string();
        assert!(error.contains("set/c: a class folder"), "{error}");
    }
}
