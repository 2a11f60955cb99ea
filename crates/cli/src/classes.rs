//! The classes of a network's outputs.

use std::collections::HashMap;

use crate::output::note;
use alexnet_data::Class;
use alexnet_model::Network;
use anyhow::{Result, bail};

/// Returns the output of the network for each class of the data. Looks up the classes by their ids among
/// those that the weights name, so the data may have a subset in any order. If none is found and the numbers
/// are equal, the classes are taken in order.
pub(crate) fn outputs(network: &Network, named: Option<&[String]>, classes: &[Class]) -> Result<Vec<usize>> {
    let named = named.filter(|named| named.len() == network.classes).unwrap_or_default();
    let places: HashMap<&str, usize> =
        named.iter().enumerate().map(|(at, class)| (class.as_str(), at)).collect();
    let found = classes.iter().map(|class| places.get(class.id.as_str()).copied());
    if let Some(found) = found.clone().collect() {
        return Ok(found);
    }
    if let Some((class, _)) = classes.iter().zip(found.clone()).find(|(_, place)| place.is_none())
        && found.flatten().next().is_some()
    {
        bail!(
            "the weights of `{}` tell classes apart of which the data has some, but `{}` is none of them",
            network.name,
            class.id
        );
    }
    if network.classes != classes.len() {
        bail!(
            "network `{}` tells {} classes apart, the data has {}",
            network.name,
            network.classes,
            classes.len()
        );
    }
    if let (Some(theirs), Some(ours)) = (named.first(), classes.first()) {
        note(&format!(
            "note: the data's classes are called otherwise than the weights' (`{}`, `{theirs}`); taken in their order",
            ours.id
        ));
    }
    Ok((0..classes.len()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_the_data_are_found_among_those_of_the_weights() {
        let network = Network { classes: 3, ..alexnet_model::Preset::load("mini").unwrap() };
        let class = |id: &&str| Class { id: (*id).to_owned(), name: String::new() };
        let of = |named: Option<&[String]>, ids: &[&str]| {
            let classes: Vec<Class> = ids.iter().map(class).collect();
            outputs(&network, named, &classes).map_err(|error| error.to_string())
        };
        let named = ["shoe", "bag", "coat"].map(str::to_owned);
        assert_eq!(of(Some(&named), &["coat", "shoe", "bag"]), Ok(vec![2, 0, 1]));
        assert_eq!(of(Some(&named), &["coat"]), Ok(vec![2]));
        assert!(of(Some(&named), &["coat", "hat", "bag"]).unwrap_err().contains("`hat` is none of them"));
        // All classes have other names, or the weights name none.
        assert_eq!(of(Some(&named), &["0", "1", "2"]), Ok(vec![0, 1, 2]));
        assert_eq!(of(None, &["0", "1", "2"]), Ok(vec![0, 1, 2]));
        assert!(of(None, &["0", "1"]).unwrap_err().contains("tells 3 classes apart, the data has 2"));
    }
}
