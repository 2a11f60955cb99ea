//! The classes of the published networks.

use alexnet_data::Class;

/// Lines of WordNet id, number and name.
const LABELS: &str = include_str!("../data/imagenet-labels.tsv");

/// Returns ILSVRC-2012's 1,000 classes in the order of the published networks' outputs, which is the order of their
/// WordNet ids.
pub fn imagenet_classes() -> Vec<Class> {
    let class = |line: &str| {
        let mut words = line.split('\t');
        let (id, name) = (words.next()?, words.nth(1)?);
        Some(Class { id: id.to_owned(), name: name.to_owned() })
    };
    LABELS.lines().filter_map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_a_thousand_in_the_order_of_their_ids() {
        let classes = imagenet_classes();
        assert_eq!(classes.len(), 1000);
        assert!(classes.is_sorted_by(|one, other| one.id < other.id));
        assert_eq!((classes[0].id.as_str(), classes[0].name.as_str()), ("n01440764", "tench"));
    }
}
