//! Recognises masks: pictures that mark the objects of the images beside them, for segmentation.

use std::collections::{BTreeMap, BTreeSet};

use crate::Files;
use crate::files::stem;

/// The folder of images beside which masks lie.
pub(super) const IMAGES: &str = "images";

/// The folders of masks.
const MASKS: [&str; 3] = ["masks", "annotations", "segmentations"];

/// Finds the first folder of a path with one of these names. Returns the path above it and the path of it.
fn first_folder<'a>(path: &'a str, names: &[&str]) -> Option<(&'a str, &'a str)> {
    let mut start = 0;
    while let Some(length) = path[start..].find('/') {
        let end = start + length;
        if names.iter().any(|name| name.eq_ignore_ascii_case(&path[start..end])) {
            return Some((&path[..start], &path[..end]));
        }
        start = end + 1;
    }
    None
}

/// Returns the images that are no masks. Masks are counted. A folder holds masks if it has such a name, lies
/// beside a folder `images`, and each picture in it has the name of one in there, except for the extension.
pub(super) fn pass_over<'a>(files: &Files, mut images: Vec<&'a str>) -> Vec<&'a str> {
    if !images.iter().any(|name| first_folder(name, &MASKS).is_some()) {
        return images;
    }
    let beside = |name: &&'a str| Some((first_folder(name, &[IMAGES])?.0, stem(name)));
    let marked: BTreeSet<(&str, &str)> = images.iter().filter_map(beside).collect();
    let mut are_masks: BTreeMap<&str, bool> = BTreeMap::new();
    for name in &images {
        if let Some((above, folder)) = first_folder(name, &MASKS) {
            *are_masks.entry(folder).or_insert(true) &= marked.contains(&(above, stem(name)));
        }
    }
    images.retain(|name| {
        let is_mask = first_folder(name, &MASKS).is_some_and(|(_, folder)| are_masks[folder]);
        if is_mask {
            files.pass_over(name, "masks beside images");
        }
        !is_mask
    });
    images
}
