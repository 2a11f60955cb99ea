//! Finds archives that lie beside the files unpacked from them.

use std::collections::{BTreeMap, HashMap};

use super::{Archive, Entry, Files, base, is_image};
use crate::DataError;
use crate::format::{SNIFFED, sniff};

/// The number of an archive's members that are compared with files beside it.
const COMPARED: usize = 8;

impl Files {
    /// Returns an error if images in an archive also lie beside it as files, with the same end of path. The archive
    /// was unpacked there, and each image would count twice.
    pub(super) fn no_archive_beside_its_files(&self) -> Result<(), DataError> {
        let mut members: BTreeMap<u32, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(archive) = entry.archive {
                members.entry(archive).or_default().push(entry);
            }
        }
        let mut by_base: HashMap<&str, Vec<&Entry>> = HashMap::new();
        for of_archive in members.values_mut() {
            *of_archive = self.some_images(of_archive)?;
            for member in of_archive {
                by_base.entry(base(&member.name)).or_default();
            }
        }
        for entry in self.entries.iter().filter(|entry| entry.archive.is_none()) {
            if let Some(files) = by_base.get_mut(base(&entry.name)) {
                files.push(entry);
            }
        }
        for (archive, members) in &members {
            let Archive { origin, prefix } = &self.archives[*archive as usize];
            let mut same: BTreeMap<String, usize> = BTreeMap::new();
            for member in members {
                let inside = &member.name[prefix.len()..];
                for file in &by_base[base(&member.name)] {
                    if self.equal(member, file)? {
                        *same.entry(self.beside(file, inside)).or_default() += 1;
                    }
                }
            }
            if let Some((other, _)) = same.iter().find(|(_, same)| **same * 2 >= members.len()) {
                let problem = format!(
                    "holds the images that lie in {other} too, and each would count twice; move one of them away"
                );
                return Err(DataError::file(origin, problem));
            }
        }
        Ok(())
    }

    /// Returns the folder that holds a copy of an archive's member: the archive's first folder, if its name was
    /// kept.
    fn beside(&self, copy: &Entry, inside: &str) -> String {
        match without_common_end(&copy.name, inside) {
            "" => self.display(inside.split_once('/').map_or("", |(first, _)| first)),
            folder => match inside.split_once('/').filter(|(first, _)| {
                copy.name
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.trim_start_matches('/').starts_with(first))
            }) {
                Some((first, _)) => self.display(&format!("{folder}/{first}")),
                None => self.display(folder),
            },
        }
    }

    /// Returns some of these members that are images, by their extensions or, if none has one, by their first
    /// bytes.
    fn some_images<'a>(&self, members: &[&'a Entry]) -> Result<Vec<&'a Entry>, DataError> {
        let some = |members: Vec<&'a Entry>| -> Vec<&'a Entry> {
            let step = members.len().div_ceil(COMPARED).max(1);
            members.into_iter().step_by(step).collect()
        };
        let named: Vec<_> = members.iter().copied().filter(|member| is_image(&member.name)).collect();
        if !named.is_empty() {
            return Ok(some(named));
        }
        let mut images = Vec::new();
        for member in some(members.to_vec()) {
            if sniff(&self.first(&member.name, SNIFFED)?).is_some() {
                images.push(member);
            }
        }
        Ok(images)
    }

    fn equal(&self, a: &Entry, b: &Entry) -> Result<bool, DataError> {
        let read = |entry: &Entry| {
            let error = |source| DataError::Read { path: self.root.join(&*entry.name), source };
            self.bytes(entry).map_err(error)
        };
        Ok(self.length(&a.name)? == self.length(&b.name)? && read(a)? == read(b)?)
    }
}

/// Returns a path without the folders and the name that it shares at its end with another path.
fn without_common_end<'a>(path: &'a str, other: &str) -> &'a str {
    let common = path.rsplit('/').zip(other.rsplit('/')).take_while(|(a, b)| a == b);
    let length: usize = common.map(|(part, _)| part.len() + 1).sum();
    &path[..path.len().saturating_sub(length)]
}
