//! Long: a table of layouts, one case each. Each is built here, with the expected reading and messages.

use std::fs;
use std::path::Path;

use super::Source;
use crate::gzip::tests::packed;
use crate::{Layout, Manifest};

/// The first bytes of a JPEG file. Nothing here is decoded.
fn jpeg(number: u8) -> Vec<u8> {
    vec![0xff, 0xd8, 0xff, 0xe0, number]
}

const WEBP: &[u8] = b"RIFF\x10\0\0\0WEBPVP8 ";
const AVIF: &[u8] = b"\0\0\0\x20ftypavif";
const FISH: &str = "n01440764";
const BIRD: &str = "n02102040";

struct Set(tempfile::TempDir);

impl Set {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Adds images, each with its own bytes.
    fn images(&self, names: &[&str]) -> &Self {
        names.iter().zip(0..).for_each(|(name, number)| {
            self.put(name, jpeg(number));
        });
        self
    }

    /// Adds `<split>/<class>/<number>.jpg`, `count` images of each of two classes.
    fn split(&self, split: &str, count: u8) -> &Self {
        for (class, first) in [("cat", 0), ("dog", 100)] {
            for number in 0..count {
                self.put(&format!("{split}/{class}/{number}.jpg"), jpeg(first + number));
            }
        }
        self
    }

    fn source(&self) -> Result<Source, String> {
        self.source_of("", None)
    }

    fn source_of(&self, path: &str, manifest: Option<&Manifest>) -> Result<Source, String> {
        super::read(&self.root().join(path), manifest).map_err(|error| {
            let error = error.to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
            error
        })
    }

    /// Returns the splits with their numbers of images, and the files passed over.
    fn told(&self) -> String {
        told(&self.source().unwrap())
    }

    fn fails(&self, expected: &[&str]) {
        let error = self.source().expect_err(expected[0]);
        assert!(expected.iter().all(|part| error.contains(part)), "{error}\nexpected {expected:?}");
    }
}

fn told(source: &Source) -> String {
    let splits: Vec<String> =
        source.splits.iter().map(|(split, images)| format!("{split} {}", images.labels.len())).collect();
    let passed = match source.passed_over.is_empty() {
        true => String::new(),
        false => format!("; {}", source.passed_over),
    };
    format!("{}: {}{passed}", source.layout, splits.join(", "))
}

fn classes(source: &Source) -> Vec<&str> {
    source.classes.iter().map(|class| class.id.as_str()).collect()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, body) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        builder.append_data(&mut header, name, *body).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Builds a WebDataset shard of these keys, each of class 1.
fn shard(keys: &[&str]) -> Vec<u8> {
    let names = keys.iter().map(|key| (format!("{key}.cls"), format!("{key}.jpg"), jpeg(key.len() as u8)));
    let names: Vec<_> = names.collect();
    let members = names
        .iter()
        .flat_map(|(label, image, bytes)| [(label.as_str(), &b"1"[..]), (image.as_str(), bytes.as_slice())]);
    tar(&members.collect::<Vec<_>>())
}

fn manifest(layout: Layout, classes: &[&str], channels: usize, size: usize) -> Manifest {
    Manifest {
        layout: Some(layout),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
        ..Manifest::of_images("made", channels, size)
    }
}

/// Both splits of Imagenette contain images of the official training and validation sets.
#[test]
fn folders_decide_the_split_and_not_names_of_images() {
    let set = Set::new();
    for class in [FISH, BIRD] {
        for (split, own) in [("train", 3), ("val", 2)] {
            (0..own).for_each(|n| {
                set.put(&format!("{split}/{class}/{class}_{split}{n}.JPEG"), jpeg(n));
            });
            set.put(&format!("{split}/{class}/ILSVRC2012_val_0000000{own}.JPEG"), jpeg(9));
        }
    }
    let source = set.source().unwrap();
    assert_eq!(told(&source), "class folders: train 8, val 6");
    assert!(source.splits[1].1.keys.iter().all(|key| key.starts_with("val/")));
    // The development kit does not change the result.
    set.put("data/ILSVRC2012_validation_ground_truth.txt", "1\n");
    assert_eq!(set.told(), "ILSVRC-2012: train 8, val 6");
}

#[test]
fn splits_are_named_by_words_of_folders() {
    for (train, val, expected) in [
        ("train", "valid", "class folders: train 6, val 4"),
        ("Training", "Validation", "class folders: train 6, val 4"),
        ("seg_train/seg_train", "seg_test/seg_test", "class folders: train 6, test 4"),
        ("set/train2017", "set/val2017", "class folders: train 6, val 4"),
        ("train/images", "val/images", "class folders: train 6, val 4"),
        ("train", "my-val", "class folders: train 6, val 4"),
        ("train", "dev", "class folders: train 6, val 4"),
        ("train", "devel", "class folders: train 6, val 4"),
        ("train", "eval", "class folders: train 6, val 4"),
        ("train-set", "evaluation-set", "class folders: train 6, val 4"),
        ("train", "Holdout", "class folders: train 6, val 4"),
    ] {
        let set = Set::new();
        set.split(train, 3).split(val, 2);
        let source = set.source().unwrap();
        assert_eq!(told(&source), expected, "{train}, {val}");
        assert_eq!(classes(&source), ["cat", "dog"], "{train}, {val}");
    }
    let set = Set::new();
    set.split("train", 3).split("val", 2).split("valid", 2);
    set.fails(&["valid: is called after the split `val`, and so is ", "val; rename or move"]);
    // Classes with the names of splits.
    let set = Set::new();
    set.images(&["train/1.jpg", "truck/1.jpg", "bus/1.jpg"]);
    assert_eq!(classes(&set.source().unwrap()), ["bus", "train", "truck"]);
    let set = Set::new();
    set.images(&["bullet train/a/1.jpg", "truck/a/1.jpg", "bus/a/1.jpg"]);
    assert_eq!(classes(&set.source().unwrap()), ["bullet train", "bus", "truck"]);
    let set = Set::new();
    set.images(&["train/1.jpg", "val/2.jpg"]);
    set.fails(&["train: holds images that are in no class folder"]);
}

#[test]
fn a_test_folder_with_a_number_is_no_class() {
    for test in ["test1", "test1/test1"] {
        let set = Set::new();
        set.split("train", 3).images(&[&format!("{test}/1.jpg"), &format!("{test}/2.jpg")]);
        let expected = "class folders: train 6; 2 files passed over: 2 test images without a label";
        assert_eq!(set.told(), expected, "{test}");
    }
    // Cats and dogs as Kaggle packs them: the labels are in the names of the training images.
    let set = Set::new();
    set.images(&["train/cat.0.jpg", "train/dog.0.jpg", "test1/1.jpg"]);
    set.fails(&["train: holds images that are in no class folder"]);
    let set = Set::new();
    set.images(&["bullet train/1.jpg", "freight train/2.jpg"]);
    assert_eq!(classes(&set.source().unwrap()), ["bullet train", "freight train"]);
}

#[test]
fn masks_beside_images_are_passed_over() {
    for (names, expected) in [
        (
            &["images/cat/1.jpg", "images/dog/2.jpg", "masks/cat/1.png", "masks/dog/2.png"][..],
            "class folders: train 2; 2 files passed over: 2 masks beside images",
        ),
        (
            &["cat/images/1.jpg", "cat/Masks/1.png", "dog/images/1.jpg", "dog/Masks/1.png"],
            "class folders: train 2; 2 files passed over: 2 masks beside images",
        ),
        (
            &["images/cat/1.jpg", "images/dog/2.jpg", "annotations/trimaps/1.png"],
            "class folders: train 2; 1 file passed over: 1 masks beside images",
        ),
        (
            &[
                "train/images/cat/1.jpg",
                "train/images/dog/2.jpg",
                "train/segmentations/1.png",
                "val/images/cat/3.jpg",
                "val/segmentations/3.png",
            ],
            "class folders: train 2, val 1; 2 files passed over: 2 masks beside images",
        ),
    ] {
        let set = Set::new();
        set.images(names);
        let source = set.source().unwrap();
        assert_eq!((told(&source).as_str(), classes(&source)), (expected, vec!["cat", "dog"]), "{names:?}");
    }
    let set = Set::new();
    set.images(&["images/1.jpg", "images/2.jpg", "masks/1.png"]);
    set.fails(&["images: holds images that are in no class folder"]);
    // Not all of these have the names of images.
    let set = Set::new();
    set.images(&["images/1.jpg", "masks/1.jpg", "masks/2.jpg"]);
    assert_eq!(classes(&set.source().unwrap()), ["images", "masks"]);
}

#[test]
fn what_lies_outside_the_folders_is_counted() {
    let set = Set::new();
    set.split("train", 3).images(&["test/1.jpg", "test/2.jpg", "extra/cat/1.jpg", "3.jpg"]);
    set.put("train/cat/1.json", "{}").put("README.md", "cats").put("notes", "").put("more.zip", "PK");
    assert_eq!(
        set.told(),
        "class folders: train 6; 8 files passed over: 1 .json, 1 .zip, 1 README, LICENSE and the like, \
         2 images in no split's folder, 2 test images without a label, 1 without an ending"
    );
    let set = Set::new();
    set.images(&["cats/1.jpg", "dogs/1.jpg", "2.jpg"]);
    assert_eq!(set.told(), "class folders: train 2; 1 file passed over: 1 images in no class folder");
    let set = Set::new();
    set.put(".hidden/x", "");
    set.fails(&["holds no file of a layout that is known here (1 file passed over: 1 hidden)"]);
    set.put("more.zip", "PK");
    set.fails(&["has no class folders with JPEG or PNG images in them"]);
}

#[test]
fn an_archive_beside_its_files_is_an_error() {
    let members: &[(&str, &[u8])] =
        &[("cat/1.jpg", &jpeg(1)), ("cat/2.jpg", &jpeg(2)), ("dog/1.jpg", &jpeg(3))];
    let inside = |folder: &str| {
        let names: Vec<String> = members.iter().map(|(name, _)| format!("{folder}{name}")).collect();
        tar(&names.iter().zip(members).map(|(name, (_, bytes))| (name.as_str(), *bytes)).collect::<Vec<_>>())
    };
    for (archive, bytes, folder) in [
        ("pets.tar", inside(""), "pets/"),
        ("pets-v1.tar", inside("pets/"), "pets/"),
        ("pets-v1.tar.gz", packed(&inside("pets/")), "pets/"),
        ("pets-v1.tar", inside(""), "other/name/"),
        ("archives/a.tgz", packed(&inside("train/")), "data/train/"),
        ("all.tar", tar(&[("pets.tar", &inside(""))]), "here/"),
        // One archive's folder was renamed after unpacking; the other was unpacked without its first folder.
        ("pets2.tgz", packed(&inside("pets2/")), "pets/"),
        ("pets2.tgz", packed(&inside("pets2/")), ""),
    ] {
        let set = Set::new();
        set.put(archive, &bytes);
        members.iter().for_each(|(name, bytes)| {
            set.put(&format!("{folder}{name}"), bytes);
        });
        set.fails(&[archive, folder.trim_end_matches('/')]);
    }
    // Images with arbitrary names.
    let set = Set::new();
    let image = jpeg(1);
    set.put("pets.tgz", packed(&tar(&[("cat/1", &image), ("dog/1.bin", &image)])));
    set.put("here/cat/1", &image).put("here/dog/1.bin", &image);
    set.fails(&["pets.tgz: holds the images that lie in", "here/"]);
    // Different images with the same names are distinct.
    let set = Set::new();
    set.put("train.tar", inside("")).split("val", 2);
    assert_eq!(set.told(), "class folders: train 3, val 4");
}

#[test]
fn copies_count_once() {
    const COPIES: &str = "copies (same split, class, name and bytes)";
    // A folder that was unpacked into itself.
    let nested = Set::new();
    nested.split("xray/train", 3).split("xray/test", 2);
    nested.split("xray/xray/train", 3).split("xray/xray/test", 2);
    assert_eq!(nested.told(), format!("class folders: train 6, test 4; 10 files passed over: 10 {COPIES}"));
    // An archive that was downloaded twice.
    let twice = Set::new();
    let archive = tar(&[("cat/1.jpg", &jpeg(1)), ("dog/1.jpg", &jpeg(2))]);
    twice.put("train.tar", &archive).put("train (1).tar", &archive);
    assert_eq!(twice.told(), format!("class folders: train 2; 2 files passed over: 2 {COPIES}"));
    // Tiny-ImageNet's validation images, sorted into classes by copying.
    let tiny = Set::new();
    tiny.put(&format!("train/{FISH}/images/{FISH}_0.JPEG"), jpeg(0));
    tiny.put("val/images/val_0.JPEG", jpeg(1)).put(&format!("val/{FISH}/val_0.JPEG"), jpeg(1));
    tiny.put("val/val_annotations.txt", format!("val_0.JPEG\t{FISH}\t0\t0\t9\t9\n"));
    assert_eq!(tiny.told(), format!("Tiny-ImageNet: train 1, val 1; 1 file passed over: 1 {COPIES}"));
    // Images with the same name and other bytes, or the same bytes in another class, are distinct.
    let videos = Set::new();
    videos.images(&["cat/a/1.jpg", "cat/b/1.jpg", "dog/a/1.jpg"]).put("dog/b/1.jpg", jpeg(0));
    assert_eq!(videos.told(), "class folders: train 4");
}

#[test]
fn shards_are_of_the_split_that_they_or_their_folders_are_called_after() {
    let set = Set::new();
    set.put("data/train-0.tar", shard(&["a", "b"])).put("data/valid-0.tar", shard(&["c"]));
    assert_eq!(set.told(), "WebDataset shards: train 2, val 1");
    let set = Set::new();
    set.put("contest-000000.tar", shard(&["a", "b"])).put("festival-000000.tar.gz", packed(&shard(&["c"])));
    assert_eq!(set.told(), "WebDataset shards: train 3");
    let set = Set::new();
    set.put("train/0000.tar", shard(&["a", "b"])).put("set-TEST/0000.tar", shard(&["c"]));
    assert_eq!(set.told(), "WebDataset shards: train 2, test 1");
    let set = Set::new();
    set.put("set-val-0.tar", shard(&["c"]));
    assert_eq!(told(&set.source_of("set-val-0.tar", None).unwrap()), "WebDataset shards: val 1");
    for (names, expected) in [
        (["train/val-0.tar", "x-0.tar"], "called after more than one split"),
        (["train-test-0.tar", "x-0.tar"], "called after more than one split"),
        (["val-0.tar", "valid-0.tar"], "is called after the split `val`, and so is"),
        (["val-0.tar", "dev-0.tar"], "is called after the split `val`, and so is"),
        (["train-0.tar", "foo-0.tar"], "foo-0: has `foo` where "),
        (["set-train-000000.tar", "set-more-000001.tar"], "set-more-000001: has `more` where "),
        (["train/0000.tar", "foo/bar-0000.tar"], "foo/bar-0000: has `foo` where "),
        (
            ["train-0.tar", "trainval-0.tar"],
            "is one of `train`, `training`, `val`, `valid`, `validation`, `dev`",
        ),
    ] {
        let set = Set::new();
        names.iter().for_each(|name| {
            set.put(name, shard(&["a"]));
        });
        set.fails(&[expected]);
    }
    for word in ["dev", "devel", "eval", "Evaluation", "holdout"] {
        let set = Set::new();
        set.put("train-0.tar", shard(&["a", "b"])).put(&format!("{word}-0.tar"), shard(&["c"]));
        assert_eq!(set.told(), "WebDataset shards: train 2, val 1", "{word}");
    }
    // No word stands in the place of `val`.
    let set = Set::new();
    set.put("set-0.tar", shard(&["a", "b"])).put("set-val-0.tar", shard(&["c"]));
    assert_eq!(set.told(), "WebDataset shards: train 2, val 1");
    // Unpacked shards are folders.
    let set = Set::new();
    set.images(&["train/a.jpg", "val/x/b.jpg"]).put("train/a.cls", "0").put("val/x/b.cls", "1");
    assert_eq!(set.told(), "WebDataset shards: train 1, val 1");
    set.images(&["foo/c.jpg"]).put("foo/c.cls", "0");
    set.fails(&["foo: has `foo` where ", "train has the name of a split"]);
}

#[test]
fn shards_without_labels_are_no_classes() {
    let image = jpeg(1);
    let set = Set::new();
    for number in 0..2 {
        let bytes = tar(&[("s0.jpg", &image), ("s0.json", b"{}"), ("s1.jpg", &image), ("s1.json", b"{}")]);
        set.put(&format!("0000{number}.tar"), bytes);
    }
    set.fails(&["00000: a WebDataset whose key `s0` has no label (`.cls`), only `.jpg`, `.json`"]);
    let set = Set::new();
    set.put("set-000000.tar", tar(&[("a.jpg", &image)])).put("set-000001.tar", tar(&[("b.jpg", &image)]));
    set.fails(&["set-000000: a WebDataset whose key `a` has no label (`.cls`), only `.jpg`"]);
    let set = Set::new();
    set.put(
        "train-0.tar",
        tar(&[("a.cls", b"1"), ("a.jpg", &image), ("b.jpg", &image), ("b.cls.txt", b"1")]),
    );
    set.fails(&["key `b` has no label (`.cls`), only `.cls.txt`, `.jpg`"]);
    // Tars of classes are read as classes.
    let set = Set::new();
    set.put("train/n01440764.tar", tar(&[("n01440764_1.JPEG", &image)]));
    set.put("train/n02102040.tar", tar(&[("n02102040_1.JPEG", &image)]));
    assert_eq!(classes(&set.source().unwrap()), [FISH, BIRD]);
    let set = Set::new();
    set.put("cat.tar", tar(&[("1.jpg", &image)])).put("dog.tar", tar(&[("1.jpg", &image)]));
    assert_eq!(classes(&set.source().unwrap()), ["cat", "dog"]);
}

#[test]
fn keys_and_fields_are_those_of_webdataset() {
    let image = jpeg(1);
    let read = |members: &[(&str, &[u8])]| {
        let set = Set::new();
        set.put("train-0.tar", tar(members));
        set.source().map(|source| told(&source))
    };
    // Upper-case extensions, dots in folders, fields with several parts, labels without images, WebDataset's own
    // files.
    let whole = read(&[
        ("v1.2/a.CLS", b" 1\n"),
        ("v1.2/a.JPG", &image),
        ("v1.2/a.seg.png", b"map"),
        ("b.cls", b"0"),
        ("b.avif", AVIF),
        ("c.cls", b"0"),
        ("c.webp", &image),
        ("__index__", b"0"),
        ("d.txt", b"no image"),
    ]);
    assert_eq!(
        whole.unwrap(),
        "WebDataset shards: train 2; 5 files passed over: 1 .avif (not read), 1 .cls without an image that is \
         read, 1 .png, 1 .txt, 1 WebDataset's own"
    );
    for (members, expected) in [
        (
            &[("a.cls", &b"1"[..]), ("a.jpg", &image), ("a.png", b"p")][..],
            "a second image of its key, beside `a.jpg`",
        ),
        (&[("a.cls", b"1"), ("a.jpg", &image), ("a.JPG", &image)], "its key has `.jpg` twice"),
        (&[("a.cls", b"1"), ("a.avif", AVIF)], "holds labels (`.cls`) but no JPEG or PNG images"),
    ] {
        let error = read(members).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn gzip_is_read_to_its_end() {
    let (one, two, three) = (jpeg(1), jpeg(2), jpeg(3));
    let raw = tar(&[("cat/1.jpg", &one), ("cat/2.jpg", &two), ("dog/1.jpg", &three)]);
    let set = Set::new();
    set.put("a.tar.gz", [packed(&raw[..1024]), packed(&raw[1024..]), vec![0; 512]].concat());
    assert_eq!(told(&set.source_of("a.tar.gz", None).unwrap()), "class folders: train 3");
    // The file name does not matter.
    set.put("a.tar", packed(&raw));
    assert_eq!(told(&set.source_of("a.tar", None).unwrap()), "class folders: train 3");
    set.put("b.tgz", [packed(&raw), b"garbage".to_vec()].concat());
    let error = set.source_of("b.tgz", None).unwrap_err();
    assert!(error.contains("b.tgz: not a whole tar.gz archive (bytes behind its end"), "{error}");
    // Archives in it count as folders, as in a tar.
    let inner =
        tar(&[("cat.tar", &tar(&[("1.jpg", &one)])), ("dog.tar.gz", &packed(&tar(&[("1.jpg", &two)])))]);
    set.put("c.tar.gz", packed(&inner)).put("c.tar", &inner);
    for name in ["c.tar.gz", "c.tar"] {
        assert_eq!(classes(&set.source_of(name, None).unwrap()), ["cat", "dog"], "{name}");
    }
    // A file packed twice, two archives in one, and an unsupported archive beside nothing else.
    set.put("d.tgz", packed(&packed(&raw)));
    let error = set.source_of("d.tgz", None).unwrap_err();
    assert!(error.contains("d.tgz: is packed by gzip twice; unpack it once"), "{error}");
    let both = [tar(&[("cat/1.jpg", &one)]), tar(&[("dog/1.jpg", &two)])].concat();
    set.put("e.tar", &both).put("e.tgz", packed(&both)).put("f/data/train.zip", b"PK\x03\x04\0\0\0\0");
    for name in ["e.tar", "e.tgz"] {
        assert_eq!(classes(&set.source_of(name, None).unwrap()), ["cat", "dog"], "{name}");
    }
    let error = set.source_of("f", None).unwrap_err();
    assert!(error.contains("; data/train.zip is a zip archive, which is not read: unpack it"), "{error}");
    let zip = set.put("a.zip", b"PK\x03\x04\0\0\0\0").source_of("a.zip", None).unwrap_err();
    assert!(zip.contains("a.zip: is a zip archive, which is not read; unpack it"), "{zip}");
}

#[test]
fn clutter_is_passed_over_in_folders_and_archives() {
    let set = Set::new();
    set.split("train", 2);
    for name in [
        "train/cat/._1.jpg",
        "train/cat/.DS_Store",
        "train/Thumbs.db",
        "train/@eaDir/1.jpg/SYNO.jpg",
        "train/.ipynb_checkpoints/1-checkpoint.jpg",
        "train/dog/1.jpg~",
        "train/dog/2.jpg.part",
        "__MACOSX/train/cat/._1.jpg",
        "lost+found/1.jpg",
    ] {
        set.put(name, "junk");
    }
    assert_eq!(
        set.told(),
        "class folders: train 4; 9 files passed over: 2 AppleDouble, 1 backups, 2 hidden, 1 partial downloads, \
         1 system files, 2 thumbnails"
    );
    let image = jpeg(1);
    let junk: &[(&str, &[u8])] =
        &[("._a.cls", b"junk"), ("a.cls", b"1"), ("._a.jpg", b"junk"), ("a.jpg", &image), (".DS_Store", b"")];
    for (name, bytes) in [("train-0.tar", tar(junk)), ("train-0.tar.gz", packed(&tar(junk)))] {
        let set = Set::new();
        set.put(name, bytes);
        assert_eq!(
            set.told(),
            "WebDataset shards: train 1; 3 files passed over: 2 AppleDouble, 1 hidden",
            "{name}"
        );
    }
    // A class that contains only this is empty.
    let set = Set::new();
    set.split("train", 2).put("train/cow/.DS_Store", "");
    set.fails(&["train/cow: a class folder of `train` without"]);
}

#[test]
fn classes_may_have_the_names_of_splits_and_of_folders_of_images() {
    for (names, expected) in [
        (&["train/car/0.jpg", "train/train/1.jpg"][..], "class folders: train 2"),
        (
            &["train/car/0.jpg", "train/train/1.jpg", "val/car/2.jpg", "val/train/3.jpg"],
            "class folders: train 2, val 2",
        ),
        (
            &["train/car/0.jpg", "train/test/1.jpg", "test/car/2.jpg", "test/test/3.jpg"],
            "class folders: train 2, test 2",
        ),
        (&["train/train/n/0.jpg", "train/train/p/1.jpg"], "class folders: train 2"),
        (
            &["train/cat/0.jpg", "train/images/1.jpg", "val/cat/2.jpg", "val/images/3.jpg"],
            "class folders: train 2, val 2",
        ),
    ] {
        let set = Set::new();
        assert_eq!(set.images(names).told(), expected, "{names:?}");
        assert_eq!(set.source().unwrap().classes.len(), 2, "{names:?}");
    }
}

#[test]
fn an_empty_split_is_an_error() {
    let set = Set::new();
    set.split("train", 2);
    fs::create_dir_all(set.root().join("val/cat")).unwrap();
    set.fails(&["val/cat: is empty, and so is its split"]);
}

#[test]
fn images_are_recognised_by_their_first_bytes() {
    let set = Set::new();
    set.split("train", 3);
    for name in ["x.jfif", "x.jpe", "x.JPEG", "x.bin", "x", "x.webp"] {
        set.put(&format!("train/cat/{name}"), jpeg(7));
    }
    set.put("train/cat/y.webp", WEBP).put("train/cat/y.WEBP.dat", WEBP).put("train/cat/y.gif", b"GIF89a");
    set.put("train/cat/y.txt", "BMW").put("train/cat/y.ppm", "P6 1 1 255");
    let expected = match cfg!(feature = "image-formats") {
        true => "class folders: train 15; 2 files passed over: 1 .ppm (not read), 1 .txt",
        false => {
            "class folders: train 12; 5 files passed over: 1 .gif (not read), 1 .ppm (not read), 1 .txt, \
             1 .webp (not read), 1 WebP under other names (not read)"
        }
    };
    assert_eq!(set.told(), expected);
}

fn annotation(class: &str) -> String {
    format!(
        "<annotation><object><name>{class}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax>\
         </bndbox></object></annotation>"
    )
}

#[test]
fn imagenet_is_read_as_kaggle_packs_it() {
    let set = Set::new();
    let data = "ILSVRC/Data/CLS-LOC";
    for class in [FISH, BIRD] {
        (0..3).for_each(|n| {
            set.put(&format!("{data}/train/{class}/{class}_{n}.JPEG"), jpeg(n));
        });
    }
    for (number, class) in [(1, BIRD), (2, FISH)] {
        set.put(&format!("{data}/val/ILSVRC2012_val_0000000{number}.JPEG"), jpeg(number));
        set.put(
            &format!("ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_0000000{number}.xml"),
            annotation(class),
        );
    }
    set.put(&format!("{data}/test/ILSVRC2012_test_00000001.JPEG"), jpeg(5));
    set.put("LOC_synset_mapping.txt", format!("{FISH} tench, Tinca tinca\n{BIRD} English setter\n"));
    let check = || {
        let source = set.source().unwrap();
        let [(_, train), (val, images)] = &source.splits[..] else { panic!("{source:?}") };
        assert_eq!((val.as_str(), &images.labels[..]), ("val", &[1, 0][..]));
        assert_eq!((train.labels.len(), source.classes[1].name.as_str()), (6, "English setter"));
        assert_eq!(source.passed_over.to_string(), "1 file passed over: 1 test images without a label");
        images.boxes.clone()
    };
    // The annotations are used first, then the table.
    assert_eq!(check(), vec![[[1.0, 2.0, 9.0, 8.0]]; 2]);
    let table = |rows: &str| set.put("LOC_val_solution.csv", format!("ImageId,PredictionString\n{rows}"));
    let good = format!(
        "ILSVRC2012_val_00000001,{BIRD} 1 2 9 8 {BIRD} 3 3 4 4 \nILSVRC2012_val_00000002,{FISH} 0 0 5 5\n"
    );
    table(&good);
    check();
    let quoted: String = good.lines().map(|row| format!("\"{}\"\n", row.replace(',', "\",\""))).collect();
    table(&quoted);
    check();
    fs::remove_dir_all(set.root().join("ILSVRC/Annotations")).unwrap();
    assert_eq!(check(), [vec![[1.0, 2.0, 9.0, 8.0], [3.0, 3.0, 4.0, 4.0]], vec![[0.0, 0.0, 5.0, 5.0]]]);
    for (rows, expected) in [
        ("ILSVRC2012_val_00000001\n", "LOC_val_solution.csv: line 2: has no comma"),
        ("ILSVRC2012_val_00000001,cat 1 2 3 4\n", "line 2: names no class by a WordNet id"),
        ("ILSVRC2012_val_00000001,n02102040 1 2 3\n", "line 2: a box has four numbers, not 3"),
        ("ILSVRC2012_val_00000001,n02102040 1 2 9 8\n", "val_00000002.JPEG: the labels of validation images"),
    ] {
        table(rows);
        set.fails(&[expected]);
    }
}

#[test]
fn tiny_imagenet_may_be_sorted() {
    for (val, boxes) in
        [("val/{}/images/", false), ("val/{}/", false), ("val/images/{}/", true), ("val/{}/images/", true)]
    {
        let set = Set::new();
        for class in [FISH, BIRD] {
            (0..3).for_each(|n| {
                set.put(&format!("train/{class}/images/{class}_{n}.JPEG"), jpeg(n));
            });
            set.put(&format!("{}val_{class}.JPEG", val.replace("{}", class)), jpeg(7));
            set.put(&format!("test/images/test_{class}.JPEG"), jpeg(8));
        }
        set.put("words.txt", format!("{FISH}\ttench\n"));
        if boxes {
            let lines = [FISH, BIRD].map(|class| format!("val_{class}.JPEG\t{class}\t1\t2\t3\t4\n"));
            set.put("val/val_annotations.txt", lines.concat()).put("wnids.txt", format!("{FISH}\n{BIRD}\n"));
            let box_of = format!("{FISH}_0.JPEG\t5\t6\t7\t8\n");
            set.put(&format!("train/{FISH}/{FISH}_boxes.txt"), box_of);
        }
        let source = set.source().unwrap();
        let layout = if boxes { "Tiny-ImageNet" } else { "class folders" };
        let expected = "train 6, val 2; 2 files passed over: 2 test images without a label";
        assert_eq!(told(&source), format!("{layout}: {expected}"), "{val}");
        assert_eq!(
            (source.splits[1].1.labels.as_slice(), source.classes[0].name.as_str()),
            (&[0, 1][..], "tench")
        );
        if boxes {
            assert_eq!(source.splits[1].1.boxes[1], [[1.0, 2.0, 3.0, 4.0]]);
            assert_eq!(source.splits[0].1.boxes[0], [[5.0, 6.0, 7.0, 8.0]]);
        }
    }
}

#[test]
fn mnist_is_read_under_all_its_names() {
    let images = |shade: u8| [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[shade; 8]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
    // The files have one channel, whatever a manifest says.
    let manifest = manifest(Layout::Idx, &["a", "b"], 3, 2);
    let names = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ];
    for called in ["{}", "{}.gz", "{dots}", "{}/{}", "{}/{dots}", "raw/{dots}.gz", "{}.two-members.gz"] {
        let set = Set::new();
        for name in names {
            let bytes = if name.contains("images") { images(9) } else { labels.to_vec() };
            let bytes = match called {
                "{}.two-members.gz" => [packed(&bytes[..9]), packed(&bytes[9..])].concat(),
                _ if called.ends_with(".gz") => packed(&bytes),
                _ => bytes,
            };
            let called = called.replace(".two-members", "").replace("{dots}", &name.replace("-idx", ".idx"));
            set.put(&called.replace("{}", name), bytes);
        }
        let source = set.source_of("", Some(&manifest)).unwrap();
        assert_eq!(told(&source), "IDX: train 2, test 2", "{called}");
        assert_eq!(source.shape, Some([1, 2]));
        // Kaggle ships each file twice.
        set.put("again/train-images.idx3-ubyte", images(9));
        let source = set.source_of("", Some(&manifest)).unwrap();
        assert_eq!(told(&source), "IDX: train 2, test 2; 1 file passed over: 1 second copies");
        set.put("again/train-images.idx3-ubyte", images(8));
        let error = set.source_of("", Some(&manifest)).unwrap_err();
        assert!(error.contains("holds something else than"), "{error}");
    }
}

/// Pickles of two batches, of names and of code that must not run (`tests/golden/cifar.py`).
const PICKLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/cifar");

fn pickled(name: &str) -> Vec<u8> {
    fs::read(Path::new(PICKLES).join(name)).unwrap()
}

#[test]
fn cifars_python_version_is_read_as_data() {
    // Written by Python 2, as the originals were, and by Python 3 with each protocol.
    for version in ["python2", "protocol2", "protocol4", "protocol5", "again"] {
        let (batch, meta) = (pickled(&format!("batch.{version}")), pickled(&format!("meta.{version}")));
        let mut members: Vec<(String, &[u8])> =
            (1..=5).map(|n| (format!("cifar-10-batches-py/data_batch_{n}"), &batch[..])).collect();
        members.push(("cifar-10-batches-py/test_batch".into(), &batch));
        members.push(("cifar-10-batches-py/batches.meta".into(), &meta));
        let members: Vec<(&str, &[u8])> =
            members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        let set = Set::new();
        set.put("cifar-10-python.tar.gz", packed(&tar(&members)));
        members.iter().for_each(|(name, bytes)| {
            set.put(&format!("folder/{name}"), bytes);
        });
        for path in ["cifar-10-python.tar.gz", "folder"] {
            let source = set.source_of(path, None).unwrap();
            assert_eq!(told(&source), "CIFAR: train 10, test 2", "{version}");
            assert_eq!((classes(&source), source.shape), (vec!["cat", "dog"], Some([3, 32])));
            let crate::samples::Images::Memory(pixels) = &source.splits[1].1.images else { panic!() };
            assert_eq!(
                (source.splits[1].1.labels.as_slice(), pixels[3071], pixels[3072]),
                (&[1, 0][..], 255, 7)
            );
        }
        let other = manifest(Layout::Cifar10, &["cat", "cow"], 3, 32);
        let error = set.source_of("folder", Some(&other)).unwrap_err();
        assert!(error.contains("batches.meta: has the class `dog` where `cow` is expected"), "{error}");

        let set = Set::new();
        let batch = pickled(&format!("batch100.{version}"));
        set.put("cifar-100-python/train", &batch).put("cifar-100-python/test", &batch);
        set.put("cifar-100-python/meta", pickled(&format!("meta100.{version}")));
        assert_eq!(set.told(), "CIFAR: train 2, test 2");
        assert_eq!(classes(&set.source().unwrap()), ["apple", "pear"]);
    }
}

#[test]
fn pickles_that_are_no_data_are_refused_with_their_place() {
    let set = Set::new();
    let batch = pickled("batch.protocol4");
    (2..=5).for_each(|n| {
        set.put(&format!("data_batch_{n}"), &batch);
    });
    set.put("test_batch", &batch).put("batches.meta", pickled("meta.protocol4"));
    for (name, expected) in [
        ("system", "data_batch_1: is no dictionary"),
        ("floats", "its `data` is no array of bytes"),
        ("columns", "its `data` is of shape [3072, 2], and there are 2 labels; expected [2, 3072]"),
        ("nested", "data_batch_1: is no dictionary"),
    ] {
        set.put("data_batch_1", pickled(name));
        set.fails(&[expected]);
    }
    for length in (0..batch.len()).step_by(37) {
        set.put("data_batch_1", &batch[..length]);
        set.fails(&["data_batch_1: no pickle of a data set: at byte"]);
    }
}

#[test]
fn damaged_pickles_do_not_panic() {
    for file in fs::read_dir(PICKLES).unwrap().flatten() {
        let whole = fs::read(file.path()).unwrap();
        for at in 0..whole.len().min(300) {
            for change in [1, 0x80, 0xff, b'(', b'R' ^ b'b'] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                super::cifar_python(&bytes);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_named() {
    let set = Set::new();
    set.split("train", 2);
    let link = set.root().join("train/cat/9.jpg");
    std::os::unix::fs::symlink("../gone.jpg", &link).unwrap();
    set.fails(&["train/cat/9.jpg: a link to `../gone.jpg`, which leads nowhere"]);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("9.jpg", &link).unwrap();
    set.fails(&["train/cat/9.jpg: a link to `9.jpg`, which leads nowhere"]);
}

#[test]
fn more_shards_than_a_process_may_open_are_read() {
    let set = Set::new();
    for number in 0..300 {
        set.put(&format!("set-train-{number:06}.tar"), shard(&[&format!("n{number}")]));
    }
    let source = set.source().unwrap();
    assert_eq!(told(&source), "WebDataset shards: train 300");
    let mut file = Vec::new();
    for at in [0, 299, 150, 0] {
        source.splits[0].1.file(at, &mut file).unwrap();
        assert!(file.starts_with(&[0xff, 0xd8]));
    }
}

#[test]
fn the_manifests_layout_decides_where_its_files_are_there() {
    let set = Set::new();
    set.split("train", 2).images(&["val/ILSVRC2012_val_00000001.JPEG"]);
    let folders = manifest(Layout::Folders, &[], 3, 8);
    let source = set.source_of("", Some(&folders)).unwrap();
    assert_eq!(told(&source), "class folders: train 4; 1 file passed over: 1 val images without a label");
    // CIFAR-10 is also distributed as class folders.
    let set = Set::new();
    set.split("train", 2);
    let cifar = manifest(Layout::Cifar10, &["cat", "dog"], 3, 32);
    assert_eq!(told(&set.source_of("", Some(&cifar)).unwrap()), "class folders: train 4");
}

#[test]
fn the_document_has_the_tables_of_the_code() {
    let document = include_str!("../../../../docs/data.md");
    for table in super::tables() {
        assert!(document.contains(&table), "docs/data.md does not contain this table:\n{table}");
    }
}
