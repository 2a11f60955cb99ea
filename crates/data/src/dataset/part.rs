//! Selects some classes of a data set and a few of their labels.

use std::sync::Arc;

use alexnet_ops::Key;
use rand_chacha::rand_core::Rng;

use super::{Dataset, Split};
use crate::DataError;

impl Dataset {
    /// Returns the images of some classes, labelled in the order given. Of the training and of the validation
    /// images, `labelled` images of each class are drawn with `seed`. A smaller draw is a subset of a larger one.
    /// No classes means all, and 0 labelled means all images.
    ///
    /// # Errors
    /// If there is no such class, or a class is named twice.
    pub fn part(&self, classes: &[usize], labelled: usize, seed: u64) -> Result<Self, DataError> {
        let all: Vec<usize> = (0..self.classes.len()).collect();
        let classes = if classes.is_empty() { all.as_slice() } else { classes };
        let error = |problem: String| DataError::dataset(&self.name, problem);
        let mut labels = vec![u32::MAX; all.len()];
        for (label, &class) in classes.iter().enumerate() {
            let place = labels.get_mut(class);
            let place = place.ok_or_else(|| error(format!("has no class {class}, only {}", all.len())))?;
            if *place != u32::MAX {
                return Err(error(format!("class {class} is named twice in `data.classes`")));
            }
            *place = label as u32;
        }
        let labels = Arc::new(labels);
        let of_classes = |split: &Split| {
            let chosen = |&at: &u32| labels[split.source.labels[at as usize] as usize] != u32::MAX;
            let indices = Arc::new(split.indices.iter().copied().filter(chosen).collect());
            Split { indices, labels: Some(labels.clone()), ..split.clone() }
        };
        let few = |split: &Split| {
            let mut split = of_classes(split);
            if labelled == 0 {
                return split;
            }
            let draw = |at: u32| Key::new([seed, u64::from(at), 0, Key::word("labelled")]).rng().next_u64();
            let mut by_class: Vec<Vec<(u64, u32)>> = vec![Vec::new(); classes.len()];
            for (index, &at) in split.indices.iter().enumerate() {
                by_class[split.label(index)].push((draw(at), at));
            }
            let chosen = by_class.into_iter().flat_map(|mut images| {
                images.sort_unstable();
                images.into_iter().take(labelled).map(|(_, at)| at)
            });
            let mut chosen: Vec<u32> = chosen.collect();
            chosen.sort_unstable();
            split.indices = Arc::new(chosen);
            split
        };
        let test = of_classes(&self.test);
        let (train, validation) = (few(&self.train), few(&self.validation));
        for (split, what) in [(&train, "training"), (&validation, "validation"), (&test, "test")] {
            if split.is_empty() {
                return Err(error(format!("has no {what} images of the classes in `data.classes`")));
            }
        }
        let names =
            |names: &[String]| classes.iter().filter_map(|&class| names.get(class).cloned()).collect();
        Ok(Self {
            name: self.name.clone(),
            checksum: self.checksum.clone(),
            passed_over: self.passed_over.clone(),
            prepared: self.prepared.clone(),
            classes: names(&self.classes),
            class_names: names(&self.class_names),
            channels: self.channels,
            size: self.size,
            train,
            validation,
            test,
            test_set_aside: self.test_set_aside,
            unused: self.unused,
            original_sides: self.original_sides,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Images, LabelledImages};
    use super::*;

    /// Builds four classes in turn. Each image's only pixel is its number.
    fn set() -> Dataset {
        let split = |images: u32| {
            let source = LabelledImages {
                images: Images::Memory((0..images as u8).collect()),
                labels: (0..images).map(|at| at % 4).collect(),
                keys: (0..images).map(|at| at.to_string()).collect(),
                boxes: Vec::new(),
            };
            let indices = Arc::new((0..images).collect());
            Split { source: Arc::new(source), indices, channels: 1, size: 1, labels: None, stand_in: None }
        };
        let classes: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        Dataset {
            name: "four".to_owned(),
            checksum: String::new(),
            passed_over: crate::PassedOver::default(),
            prepared: None,
            class_names: classes.clone(),
            classes,
            channels: 1,
            size: 1,
            train: split(80),
            validation: split(8),
            test: split(12),
            test_set_aside: false,
            unused: 0,
            original_sides: None,
        }
    }

    #[test]
    fn classes_are_labelled_in_the_order_given_and_few_are_a_part_of_more() {
        let set = set();
        let part = set.part(&[3, 1], 5, 0).unwrap();
        assert_eq!(part.classes, ["d", "b"]);
        assert_eq!((part.train.len(), part.validation.len(), part.test.len()), (10, 4, 6));
        for split in [&part.train, &part.validation, &part.test] {
            for at in 0..split.len() {
                assert_eq!(split.sample(at) % 4, [3, 1][split.label(at)]);
            }
        }
        let samples = |labelled: usize, seed: u64| -> Vec<usize> {
            let part = set.part(&[3, 1], labelled, seed).unwrap();
            (0..part.train.len()).map(|at| part.train.sample(at)).collect()
        };
        assert!(samples(2, 0).iter().all(|at| samples(5, 0).contains(at)));
        assert_ne!(samples(5, 0), samples(5, 1));
        assert_eq!(samples(0, 0).len(), 40);
        let whole = set.part(&[], 0, 0).unwrap();
        assert_eq!((whole.classes.len(), whole.train.len(), whole.test.label(6)), (4, 80, 2));
        assert!(set.part(&[4], 0, 0).unwrap_err().to_string().contains("no class 4"));
        assert!(set.part(&[1, 1], 0, 0).unwrap_err().to_string().contains("named twice"));
    }
}
