//! The division of training images: those to learn from, and those set aside for validation and for the test.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::DataError;
use crate::samples::{Images, LabelledImages};

/// One in this many training images is set aside for validation.
const VALIDATION_SHARE: usize = 10;

/// One in this many images of each class becomes a test image where there are none.
const TEST_SHARE: usize = 10;

/// The training images that become the test split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    /// None: there are test images.
    Nothing,
    /// This many of each class, none of which is among the class's first `after` images.
    Number { per_class: usize, after: usize },
    /// A tenth of each class, but at least one image if the class has two.
    Share,
}

/// The official training images, divided. Each part is in the data set's order.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) rest: Vec<u32>,
    pub(super) validation: Vec<u32>,
    pub(super) held_out: Vec<u32>,
}

/// Sets a tenth of each class aside for validation: the samples whose keys have the lowest hashes. Those with the
/// highest hashes are held out for the test, if `aside` says so. The choice depends only on the data set.
pub(super) fn set_aside(set: &LabelledImages, classes: usize, aside: Aside) -> Result<Parts, DataError> {
    // Only the first eight bytes of each hash are kept: enough to distinguish a million images.
    let mut by_class: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
    // A folder and an archive of it are divided alike, although paths in the archive begin with the folder's name.
    let above = match aside {
        Aside::Share => folder_of_all(&set.keys),
        _ => "",
    };
    let mut add = |at: usize, key: &str| {
        let hash: [u8; 32] = Sha256::digest(key.strip_prefix(above).unwrap_or(key)).into();
        let first = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"));
        by_class.entry(set.labels[at]).or_default().push((first, at as u32));
    };
    match &set.images {
        Images::Shards(shards) => shards.for_each_key(&mut add)?,
        _ => set.keys.iter().enumerate().for_each(|(at, key)| add(at, key)),
    }
    let mut parts = Parts::default();
    for mut samples in (0..classes as u32).filter_map(|label| by_class.remove(&label)) {
        let held_out = match aside {
            Aside::Nothing => None,
            Aside::Number { per_class, after } => Some((per_class, after)),
            Aside::Share => Some(((samples.len() / TEST_SHARE).max(usize::from(samples.len() > 1)), 0)),
        };
        if let Some((per_class, after)) = held_out {
            let mut unused = samples.split_off(after.min(samples.len()));
            unused.sort_unstable();
            let test = unused.split_off(unused.len().saturating_sub(per_class));
            parts.held_out.extend(test.iter().map(|(_, index)| *index));
            samples.append(&mut unused);
        }
        samples.sort_unstable();
        let share = (samples.len() / VALIDATION_SHARE).max(usize::from(samples.len() > 1));
        parts.validation.extend(samples[..share].iter().map(|(_, index)| *index));
        parts.rest.extend(samples[share..].iter().map(|(_, index)| *index));
    }
    for part in [&mut parts.rest, &mut parts.validation, &mut parts.held_out] {
        part.sort_unstable();
    }
    Ok(parts)
}

/// Returns the folder that all keys are in, with a slash at the end, or nothing.
fn folder_of_all(keys: &[String]) -> &str {
    let Some((first, others)) = keys.split_first() else { return "" };
    let same = others.iter().fold(first.len(), |same, key| {
        first.bytes().zip(key.bytes()).take(same).take_while(|(one, other)| one == other).count()
    });
    let end = first.as_bytes()[..same].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    &first[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(per_class: u32) -> LabelledImages {
        LabelledImages {
            images: Images::Memory(Vec::new()),
            labels: (0..3 * per_class).map(|at| at % 3).collect(),
            keys: (0..3 * per_class).map(|at| format!("train/{at}")).collect(),
            boxes: Vec::new(),
        }
    }

    #[test]
    fn parts_are_disjoint_and_what_is_held_out_comes_after_the_first_images() {
        let (set, after) = (images(40), 15);
        let parts = set_aside(&set, 3, Aside::Number { per_class: 10, after }).unwrap();
        assert_eq!([parts.rest.len(), parts.validation.len(), parts.held_out.len()], [81, 9, 30]);
        let mut all = [parts.rest, parts.validation, parts.held_out.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..120).collect::<Vec<u32>>());
        assert!(parts.held_out.iter().all(|at| at / 3 >= after as u32), "{:?}", parts.held_out);
        let of_class = |class: u32| parts.held_out.iter().filter(|at| *at % 3 == class).count();
        assert_eq!([0, 1, 2].map(of_class), [10, 10, 10]);
    }

    #[test]
    fn a_tenth_of_each_class_is_set_aside_where_there_are_no_test_images() {
        for (per_class, expected) in [(40, [99, 9, 12]), (3, [3, 3, 3]), (2, [3, 0, 3]), (1, [3, 0, 0])] {
            let parts = set_aside(&images(per_class), 3, Aside::Share).unwrap();
            assert_eq!([parts.rest.len(), parts.validation.len(), parts.held_out.len()], expected);
        }
    }

    #[test]
    fn a_folder_and_an_archive_of_it_are_divided_alike() {
        let (folder, mut archive) = (images(40), images(40));
        let keys = |at: u32, above: &str| format!("{above}{}/{at}.jpg", at % 3);
        let folder = LabelledImages { keys: (0..120).map(|at| keys(at, "")).collect(), ..folder };
        archive.keys = (0..120).map(|at| keys(at, "set/images/")).collect();
        let [one, other] = [&folder, &archive].map(|set| set_aside(set, 3, Aside::Share).unwrap());
        assert_eq!((one.held_out, one.validation), (other.held_out, other.validation));
        assert_eq!(folder_of_all(&archive.keys), "set/images/");
        assert_eq!([folder_of_all(&folder.keys), folder_of_all(&[])], ["", ""]);
    }

    #[test]
    fn without_held_out_images_the_validation_images_are_those_of_before() {
        let parts = set_aside(&images(40), 3, Aside::Nothing).unwrap();
        assert!(parts.held_out.is_empty());
        assert_eq!((parts.rest.len(), parts.validation.len()), (108, 12));
        // By Python's hashlib: the four lowest SHA-256 of each class.
        assert_eq!(parts.validation, [15, 32, 37, 39, 42, 47, 55, 57, 82, 83, 92, 97]);
    }
}
