//! WebDataset tars without an index: `<key>.jpg` beside `<key>.cls`, the number of its class.

use std::sync::Arc;

use super::{Class, Source, is_image};
use crate::dataset::{Images, LabelledImages};
use crate::{DataError, Files, Manifest};

/// Classes at most: a number beyond it is a damaged file rather than a class.
const CLASSES_LIMIT: u32 = 1 << 20;

/// The key of a member: its path up to the first dot of its name.
fn key(name: &str) -> &str {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    name[start..].find('.').map_or(name, |dot| &name[..start + dot])
}

pub(super) fn read(files: Files, manifest: Option<&Manifest>) -> Result<Source, DataError> {
    let files = Arc::new(files);
    let mut splits: Vec<(String, LabelledImages)> = Vec::new();
    let mut most = 0;
    for name in files.names().filter(|name| is_image(name)) {
        let label_file = format!("{}.cls", key(name));
        let problem = |problem: String| DataError::file(files.display(&label_file), problem);
        let bytes = files.read(&label_file)?;
        let label: u32 = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| problem("is not the number of a class".into()))?;
        let classes = manifest.map_or(0, |manifest| manifest.classes.len());
        let limit = if classes == 0 { CLASSES_LIMIT } else { classes as u32 };
        if label >= limit {
            return Err(problem(format!("label {label} is not below {limit} classes")));
        }
        most = most.max(label);
        // A shard is called after its split: `imagenet-train-000000.tar`.
        let shard = name.split('/').next().unwrap_or_default();
        let split =
            ["train", "val", "test"].into_iter().find(|split| shard.contains(split)).unwrap_or("train");
        let at = splits.iter().position(|(name, _)| name == split).unwrap_or_else(|| {
            let images = Images::Files(files.clone());
            let empty = LabelledImages { images, labels: Vec::new(), keys: Vec::new(), boxes: Vec::new() };
            splits.push((split.to_owned(), empty));
            splits.len() - 1
        });
        splits[at].1.keys.push(name.to_owned());
        splits[at].1.labels.push(label);
    }
    if splits.is_empty() {
        return Err(DataError::file(files.display(""), "holds labels (`.cls`) but no JPEG or PNG images"));
    }
    let classes = match manifest {
        Some(manifest) if !manifest.classes.is_empty() => {
            manifest.classes.iter().map(Class::unnamed).collect()
        }
        _ => (0..=most).map(|label| Class::unnamed(label.to_string())).collect(),
    };
    Ok(Source::new("WebDataset shards", classes, splits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_at_the_first_dot_of_the_name() {
        assert_eq!(key("shard-0.v2/a/b.seg.png"), "shard-0.v2/a/b");
        assert_eq!(key("b"), "b");
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
        let source = read(Files::open(folder.path()).unwrap(), None).unwrap();
        assert_eq!(source.classes.len(), 3);
        let [(first, train), (second, val)] = &source.splits[..] else { panic!() };
        assert_eq!((first.as_str(), second.as_str()), ("train", "val"));
        assert_eq!((&train.labels[..], &val.labels[..]), (&[2, 0][..], &[1][..]));
        for (label, expected) in [("-1", "not the number"), ("x", "not the number"), ("4000000", "not below")]
        {
            write("set-val-0.tar", &[("c.cls", label.as_bytes()), ("c.jpg", b"C")]);
            let error = read(Files::open(folder.path()).unwrap(), None).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("c.cls"), "{error}");
        }
        write("set-val-0.tar", &[("c.jpg", b"C"), ("d.cls", b"1")]);
        let error = read(Files::open(folder.path()).unwrap(), None).unwrap_err().to_string();
        assert!(error.contains("c.cls: no such file"), "{error}");
    }
}
