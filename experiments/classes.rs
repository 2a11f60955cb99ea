//! What a network's outputs mean.

use std::collections::HashMap;

use alexnet_data::Class;
use alexnet_model::Network;
use anyhow::{Result, bail};

/// WordNet ids, numbers and names of ILSVRC-2012's classes (WordNet's licence is beside the file).
const ILSVRC: &str = include_str!("../datasets/imagenet-labels.tsv");

/// ILSVRC-2012's classes in the order of the published networks' outputs: that of the ids.
pub(crate) fn ilsvrc() -> Vec<Class> {
    let class = |line: &str| {
        let mut words = line.split('\t');
        let (id, name) = (words.next()?, words.nth(1)?);
        Some(Class { id: id.to_owned(), name: name.to_owned() })
    };
    ILSVRC.lines().filter_map(class).collect()
}

/// What to call each output of a network whose classes are called so, or by their WordNet ids; by number where there are not as
/// many.
pub(crate) fn labels(network: &Network, classes: Option<&[String]>) -> Vec<String> {
    let known: HashMap<String, String> = ilsvrc().into_iter().map(|class| (class.id, class.name)).collect();
    let label = |class: &String| known.get(class).unwrap_or(class).clone();
    match classes {
        Some(classes) if classes.len() == network.classes => classes.iter().map(label).collect(),
        _ => (0..network.classes).map(|class| format!("class {class}")).collect(),
    }
}

/// Which output of the network each class of the data is. Classes called by WordNet ids are looked up among those of
/// ILSVRC-2012 where the network has as many outputs, so that some of them will do.
pub(crate) fn outputs(network: &Network, classes: &[Class]) -> Result<Vec<usize>> {
    let known: HashMap<String, usize> =
        ilsvrc().into_iter().enumerate().map(|(at, class)| (class.id, at)).collect();
    if network.classes == known.len()
        && let Some(found) = classes.iter().map(|class| known.get(&class.id).copied()).collect()
    {
        return Ok(found);
    }
    if network.classes != classes.len() {
        let other = classes.iter().find(|class| !known.contains_key(&class.id));
        if let Some(other) = other.filter(|_| network.classes == known.len() && classes.len() < known.len()) {
            bail!(
                "network `{}` tells ILSVRC-2012's classes apart, and `{}` is none of their WordNet ids",
                network.name,
                other.id
            );
        }
        bail!(
            "network `{}` tells {} classes apart, the data has {}",
            network.name,
            network.classes,
            classes.len()
        );
    }
    Ok((0..classes.len()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_called_as_the_data_call_them_or_by_number() {
        let network = crate::network::load("mini").unwrap();
        let classes = ["n01440764", "n01443537", "shirt"].map(str::to_owned);
        let three = Network { classes: 3, ..network.clone() };
        assert_eq!(labels(&three, Some(&classes)), ["tench", "goldfish", "shirt"]);
        assert_eq!(labels(&network, Some(&classes))[9], "class 9");
        assert_eq!(labels(&network, None)[9], "class 9");
        assert_eq!(ilsvrc().len(), 1000);
        assert!(outputs(&network, &ilsvrc()).unwrap_err().to_string().contains("tells 10 classes apart"));
    }
}
