//! Reads WebDataset tars without an index: `<key>.jpg` with `<key>.cls`, which holds the class number. Keys and
//! fields follow the `webdataset` library (`base_plus_ext` and `group_by_keys` in its `tariterators.py`, version
//! 1.0).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::images::is_readable;
use super::split::{self, SPLITS, Words};
use super::{Class, Source};
use crate::files::{base, is_image};
use crate::samples::{Images, LabelledImages};
use crate::{DataError, Files, Manifest};

/// The largest number of classes. A larger class number means a damaged file.
const CLASSES_LIMIT: u32 = 1 << 20;

/// Fields that may be an image, besides those with the usual extensions of JPEG and PNG.
const OTHER_IMAGES: [&str; 10] = ["webp", "gif", "bmp", "tif", "tiff", "heic", "avif", "ppm", "pgm", "img"];

/// Returns a member's key, which is its path up to the first dot of its name, and its field, which is the rest.
fn key_and_field(name: &str) -> Option<(&str, String)> {
    let start = name.len() - base(name).len();
    let dot = start + name[start..].find('.')?;
    (dot > start).then(|| (&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

/// The contents of a shard under one key.
#[derive(Default)]
struct Sample<'a> {
    image: Option<&'a str>,
    label: Option<&'a str>,
    fields: BTreeSet<String>,
}

pub(super) fn is_laid_out(files: &Files) -> bool {
    let is_label = |name: &str| key_and_field(name).is_some_and(|(_, field)| field == "cls");
    files.names().any(is_label) || has_unlabelled_shards(files)
}

/// Returns whether archives of images hold samples rather than classes. Either images at the top level have other
/// files with the same key, or the names of all archives with such images end in a number, as those of shards do.
fn has_unlabelled_shards(files: &Files) -> bool {
    let mut images: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut others: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut shards: BTreeSet<&str> = BTreeSet::new();
    for name in files.names() {
        let Some(shard) = files.archive(name) else { continue };
        let inside = &name[shard.len()..];
        let Some((key, _)) = key_and_field(inside).filter(|_| !inside.contains('/')) else { continue };
        if is_image(inside) {
            shards.insert(shard);
            images.insert((shard, key));
        } else {
            others.insert((shard, key));
        }
    }
    let numbered = |shard: &&str| {
        let shard = base(shard.trim_end_matches('/'));
        let name = shard.trim_end_matches(|c: char| c.is_ascii_digit());
        shard.len() - name.len() >= 4 && (name.is_empty() || name.ends_with(['-', '_', '.']))
    };
    images.intersection(&others).next().is_some() || (!shards.is_empty() && shards.iter().all(numbered))
}

/// Returns the split of an image: that of its shard or, outside archives, that of the outermost folder.
fn split_of(
    files: &Files,
    shard: Option<&str>,
    name: &str,
    words: &mut Words,
) -> Result<&'static str, DataError> {
    match shard {
        Some("") => {
            let root = files.root().file_stem().unwrap_or_default().to_string_lossy();
            split::of_shard(files, &root, words)
        }
        Some(shard) => split::of_shard(files, shard.trim_end_matches('/'), words),
        None => {
            let (folders, _) = name.rsplit_once('/').unwrap_or_default();
            let named = folders
                .split('/')
                .find_map(split::exact)
                .or_else(|| folders.split('/').find_map(split::one_in));
            let Some(named) = named else { return Ok(SPLITS[0].0) };
            words.note(files, named, folders)?;
            Ok(named.split)
        }
    }
}

pub(super) fn read(files: &Arc<Files>, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    let samples = samples(files)?;
    let classes = manifest.map_or(0, |manifest| manifest.classes.len());
    let limit = if classes == 0 { CLASSES_LIMIT } else { classes as u32 };
    let with_image = samples.iter().filter(|(_, sample)| sample.image.is_some());
    let paths: BTreeSet<&str> = with_image.map(|(place, _)| path_of(*place)).collect();
    split::no_other_words(files, &paths)?;
    let (mut words, mut most) = (Words::default(), 0);
    let mut by_split: BTreeMap<&str, Vec<(&str, u32)>> = BTreeMap::new();
    for ((shard, key), sample) in &samples {
        let (image, label_file) = match (sample.image, sample.label) {
            (Some(image), Some(label)) => (image, label),
            (Some(image), None) => {
                let fields: Vec<String> = sample.fields.iter().map(|field| format!("`.{field}`")).collect();
                let problem = format!(
                    "a WebDataset whose key `{}` has no label (`.cls`), only {}",
                    &key[shard.unwrap_or_default().len()..],
                    fields.join(", ")
                );
                let shard = shard.map_or(image, |shard| shard.trim_end_matches('/'));
                return Err(DataError::file(files.display(shard), problem));
            }
            (None, Some(label)) => {
                files.pass_over(label, ".cls without an image that is read");
                continue;
            }
            (None, None) => continue,
        };
        let label = label(files, label_file, limit)?;
        most = most.max(label);
        let split = split_of(files, *shard, image, &mut words)?;
        by_split.entry(split).or_default().push((image, label));
    }
    if by_split.is_empty() {
        return Err(DataError::file(files.display(""), "holds labels (`.cls`) but no JPEG or PNG images"));
    }
    let splits = SPLITS.iter().filter_map(|(split, _)| Some((*split, by_split.remove(split)?)));
    let splits = splits.map(|(split, mut images)| {
        images.sort_unstable();
        let of_split = LabelledImages {
            images: Images::Files(files.clone()),
            labels: images.iter().map(|(_, label)| *label).collect(),
            keys: images.iter().map(|(name, _)| (*name).to_owned()).collect(),
            boxes: Vec::new(),
        };
        (split.to_owned(), of_split)
    });
    let splits = splits.collect();
    let classes = match manifest {
        Some(manifest) if !manifest.classes.is_empty() => {
            manifest.classes.iter().map(Class::unnamed).collect()
        }
        _ => (0..=most).map(|label| Class::unnamed(label.to_string())).collect(),
    };
    Ok(Source::new("WebDataset shards", classes, splits))
}

/// The path of a shard, if the file is in one, and a key.
type Place<'a> = (Option<&'a str>, &'a str);

/// Returns the path of a shard without its extension or, outside archives, of the folder of a key.
fn path_of((shard, key): Place<'_>) -> &str {
    match shard {
        Some(shard) => shard.trim_end_matches('/'),
        None => key.rsplit_once('/').map_or("", |(folder, _)| folder),
    }
}

/// Returns the samples of all shards.
fn samples(files: &Files) -> Result<BTreeMap<Place<'_>, Sample<'_>>, DataError> {
    let mut samples: BTreeMap<Place<'_>, Sample<'_>> = BTreeMap::new();
    for name in files.names() {
        let shard = files.archive(name);
        let inside = &name[shard.unwrap_or_default().len()..];
        if inside
            .strip_prefix("__")
            .is_some_and(|rest| rest.split('/').next().unwrap_or(rest).ends_with("__"))
        {
            files.pass_over(name, "WebDataset's own");
            continue;
        }
        let Some((key, field)) = key_and_field(name) else { continue };
        let sample = samples.entry((shard, key)).or_default();
        let problem = |problem: String| Err(DataError::file(files.display(name), problem));
        if !sample.fields.insert(field.clone()) {
            return problem(format!("its key has `.{field}` twice"));
        }
        if field == "cls" {
            sample.label = Some(name);
        } else if (is_image(&format!("x.{field}")) && !field.contains('.'))
            || (OTHER_IMAGES.contains(&field.as_str()) && is_readable(files, name)?)
        {
            if let Some(other) = sample.image {
                return problem(format!("is a second image of its key, beside `{}`", base(other)));
            }
            sample.image = Some(name);
        }
    }
    Ok(samples)
}

/// Reads the number in a `.cls` file.
fn label(files: &Files, name: &str, limit: u32) -> Result<u32, DataError> {
    let problem = |problem: String| DataError::file(files.display(name), problem);
    let bytes = files.read(name)?;
    let label: u32 = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| problem("is not the number of a class".into()))?;
    match label < limit {
        true => Ok(label),
        false => Err(problem(format!("label {label} is not below {limit} classes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_at_the_first_dot_of_the_name() {
        let parts = |name| key_and_field(name).map(|(key, field)| format!("{key} {field}"));
        assert_eq!(parts("shard-0.v2/a/b.Seg.PNG").as_deref(), Some("shard-0.v2/a/b seg.png"));
        assert_eq!(parts("b.jpg").as_deref(), Some("b jpg"));
        assert_eq!(parts("b"), None);
        assert_eq!(parts("a.b/.c"), None);
    }

    #[test]
    fn shards_of_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |shard: &str, members: &[(&str, &[u8])]| {
            let mut builder = tar::Builder::new(std::fs::File::create(folder.path().join(shard)).unwrap());
            for (name, body) in members {
                let mut header = tar::Header::new_gnu();
                header.set_size(body.len() as u64);
                builder.append_data(&mut header, name, *body).unwrap();
            }
            builder.finish().unwrap();
        };
        write("set-train-0.tar", &[("a.cls", b"2\n"), ("a.jpg", b"A"), ("b.cls", b"0"), ("b.png", b"B")]);
        write("set-val-0.tar", &[("c.cls", b"1"), ("c.jpg", b"C"), ("c.json", b"{}")]);
        let source = read(&Arc::new(Files::open(folder.path()).unwrap()), None).unwrap();
        assert_eq!(source.classes.len(), 3);
        let [(first, train), (second, val)] = &source.splits[..] else { panic!() };
        assert_eq!((first.as_str(), second.as_str()), ("train", "val"));
        assert_eq!((&train.labels[..], &val.labels[..]), (&[2, 0][..], &[1][..]));
        for (label, expected) in [("-1", "not the number"), ("x", "not the number"), ("4000000", "not below")]
        {
            write("set-val-0.tar", &[("c.cls", label.as_bytes()), ("c.jpg", b"C")]);
            let error = read(&Arc::new(Files::open(folder.path()).unwrap()), None).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("c.cls"), "{error}");
        }
        write("set-val-0.tar", &[("c.jpg", b"C"), ("d.cls", b"1")]);
        let error = read(&Arc::new(Files::open(folder.path()).unwrap()), None).unwrap_err().to_string();
        assert!(error.contains("set-val-0: a WebDataset whose key `c` has no label"), "{error}");
    }
}
