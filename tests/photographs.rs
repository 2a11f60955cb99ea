//! From photographs to batches: `data prepare` and what reads its shards. Long: one set of photographs serves both halves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use alexnet_data::{
    Augmentation, Colour, ColourReading, Crop, Dataset, Draws, Loader, LoaderConfig, MeanKind, PixelScale,
    Preparation, Statistics, Upload, Views,
};
use burn::data::dataloader::DataLoader;
use libjpeg_turbo_rs::{PixelFormat, Subsampling};
use serde_json::Value;

use crate::support::{Held, devices, experiments, stderr, stdout, succeed};

/// A picture of `width` × `height` pixels that no other number gives.
fn picture(width: usize, height: usize, number: usize) -> Vec<u8> {
    let pixel = |at: usize| {
        let (x, y) = (at % width, at / width);
        [x * 255 / width, (y * 255 / height + 40 * number) % 256, (x * y / 16 + 97 * number) % 256]
            .map(|v| v as u8)
    };
    (0..width * height).flat_map(pixel).collect()
}

fn jpeg(width: usize, height: usize, number: usize) -> Vec<u8> {
    let pixels = picture(width, height, number);
    libjpeg_turbo_rs::compress(&pixels, width, height, PixelFormat::Rgb, 90, Subsampling::S420).unwrap()
}

fn png(width: usize, height: usize, number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&picture(width, height, number)).unwrap();
    out
}

/// Class folders with splits: of each of three classes twelve images to train and four to test, of many sizes, one of
/// them a PNG that is called a JPEG.
fn photographs(root: &Path) -> PathBuf {
    let source = root.join("source");
    for (split, count) in [("train", 12), ("val", 4)] {
        for class in 0..3 {
            let folder = source.join(split).join(format!("class.{class}"));
            fs::create_dir_all(&folder).unwrap();
            for number in 0..count {
                let size = (20 + number * 7 + class, 60 - number * 3);
                let bytes =
                    if number == 1 { png(size.0, size.1, number) } else { jpeg(size.0, size.1, number) };
                fs::write(folder.join(format!("a.{number}.JPEG")), bytes).unwrap();
            }
        }
    }
    source
}

fn prepare(folder: &Path, source: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = experiments(folder);
    command.args(["data", "prepare"]).arg(source).args(["--out", out, "--size", "32"]).args(more);
    command
}

/// All files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn fails(command: &mut Command, expected: &str) {
    let output = command.output().unwrap();
    let error = stderr(&output);
    assert!(!output.status.success() && error.contains(expected), "expected `{expected}`, got: {error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
}

#[test]
fn any_number_of_jobs_prepares_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = photographs(root);
    let text = stdout(&succeed(&mut prepare(root, &source, "one", &["--jobs", "1"])));
    assert!(text.contains("48 images of class folders in 3 classes, 32 × 32 pixels"), "{text}");
    succeed(&mut prepare(root, &source, "three", &["--jobs", "3"]));
    let files = contents(&root.join("one"));
    assert_eq!(files, contents(&root.join("three")));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "manifest.json",
            "rejected.tsv",
            "train-000000.tar",
            "train-000000.tsv",
            "val-000000.tar",
            "val-000000.tsv"
        ]
    );

    // What WebDataset's readers see: pairs of an image and its class, under keys without a dot.
    let mut tar = tar::Archive::new(&files["train-000000.tar"][..]);
    let members: Vec<(String, Vec<u8>)> = tar
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        })
        .collect();
    assert_eq!(members.len(), 2 * 36);
    for pair in members.chunks(2) {
        let [(image, bytes), (label, class)] = pair else { panic!() };
        assert_eq!(image.strip_suffix(".jpg"), label.strip_suffix(".cls"));
        assert_eq!(image.matches('.').count(), 1, "{image}");
        assert!(bytes.starts_with(&[0xff, 0xd8]));
        assert!(image.contains(&format!("class_{}/", String::from_utf8_lossy(class))), "{image}");
    }
    let text = stdout(&succeed(experiments(root).args(["data", "check", "one"])));
    assert!(text.contains("all as its manifest says") && text.contains("12 to 12 a class"), "{text}");
    fails(&mut prepare(root, &source, "one", &[]), "holds a prepared data set already");
    // Shards of others are not written over, the source's own least of all.
    fs::create_dir(root.join("theirs")).unwrap();
    fs::copy(root.join("one/train-000000.tar"), root.join("theirs/train-000000.tar")).unwrap();
    let shard = root.join("theirs/train-000000.tar");
    for from in [&source, &shard] {
        fails(
            &mut prepare(root, from, "theirs", &[]),
            "train-000000.tar: lies where shards would be written",
        );
    }
    assert!(fs::read(&shard).unwrap() == fs::read(root.join("one/train-000000.tar")).unwrap());
    fails(&mut prepare(root, &root.join("one"), "two", &[]), "is prepared already");
}

#[test]
fn a_killed_preparation_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = root.join("source");
    // Three shards of up to 4096.
    let image = png(8, 8, 5);
    for class in ["a", "b"] {
        fs::create_dir_all(source.join(class)).unwrap();
        (0..4500).for_each(|n| fs::write(source.join(class).join(format!("{n:04}.png")), &image).unwrap());
    }
    succeed(&mut prepare(root, &source, "whole", &["--encoding", "raw"]));
    let mut command = prepare(root, &source, "killed", &["--encoding", "raw", "--jobs", "1"]);
    Held::after(1, &mut command).ok().unwrap().kill();
    assert!(!root.join("killed/manifest.json").exists());
    let first = fs::metadata(root.join("killed/train-000000.tar")).unwrap().modified().unwrap();
    fails(&mut prepare(root, &source, "killed", &[]), "was begun from other images or with other options");
    fails(experiments(root).args(["data", "check", "killed"]), "killed");
    succeed(&mut prepare(root, &source, "killed", &["--encoding", "raw"]));
    assert_eq!(fs::metadata(root.join("killed/train-000000.tar")).unwrap().modified().unwrap(), first);
    assert_eq!(contents(&root.join("whole")), contents(&root.join("killed")));
}

#[test]
fn broken_images_are_listed_and_many_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = photographs(root);
    let broken = source.join("train/class.1");
    let whole = fs::read(broken.join("a.3.JPEG")).unwrap();
    fs::write(broken.join("a.3.JPEG"), &whole[..whole.len() / 2]).unwrap();
    fs::write(broken.join("a.4.JPEG"), "").unwrap();
    let text = stdout(&succeed(&mut prepare(root, &source, "out", &[])));
    assert!(text.contains("2 broken image(s) left out"), "{text}");
    let listed = fs::read_to_string(root.join("out/rejected.tsv")).unwrap();
    assert!(
        listed.contains("class.1/a.3.JPEG\tbroken JPEG (") && listed.contains("a.4.JPEG\tthe file is empty"),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 3);
    let text = stdout(&succeed(experiments(root).args(["data", "check", "out"])));
    assert!(text.contains("34 images, 10 to 12 a class"), "{text}");
    let all = root.join("all/class");
    fs::create_dir_all(&all).unwrap();
    (0..3).for_each(|n| fs::write(all.join(format!("{n}.jpg")), &whole[..whole.len() / 2]).unwrap());
    fails(&mut prepare(root, &root.join("all"), "none", &[]), "no image could be read, see rejected.tsv");
    assert!(!root.join("none/manifest.json").exists());
    (0..12).for_each(|n| fs::write(source.join(format!("train/class.0/a.{n}.JPEG")), "no image").unwrap());
    fails(&mut prepare(root, &source, "many", &[]), "more than 10 broken images, see rejected.tsv");
    assert_eq!(fs::read_to_string(root.join("many/rejected.tsv")).unwrap().lines().count(), 15);
}

#[test]
fn damage_to_shards_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    succeed(&mut prepare(root, &photographs(root), "out", &[]));
    let check = || {
        let mut command = experiments(root);
        command.args(["data", "check", "out"]);
        command
    };
    let tar = root.join("out/train-000000.tar");
    let whole = fs::read(&tar).unwrap();
    fs::write(&tar, &whole[..whole.len() - 5000]).unwrap();
    fails(&mut check(), "train-000000.tar: has SHA-256");
    fails(experiments(root).args(["data", "stats", "out"]), "bytes, and");
    let mut flipped = whole.clone();
    flipped[2000] ^= 1;
    fs::write(&tar, &flipped).unwrap();
    fails(&mut check(), "train-000000.tar: has SHA-256");
    fs::write(&tar, &whole).unwrap();
    let index = root.join("out/train-000000.tsv");
    let text = fs::read_to_string(&index).unwrap();
    for (from, to, expected) in [
        ("\t0\t\n", "\t7\t\n", "train-000000.tsv: at byte 30: label 7 is not below 3 classes"),
        ("\t512\t", "\t512000\t", "train-000000.tsv: at byte 30: `train/class_0/a_0` lies beyond the end"),
        ("\t512\t", "\tx\t", "its offset is no number"),
        ("key\t", "kex\t", "at byte 0: not the index of a shard"),
    ] {
        fs::write(&index, text.replacen(from, to, 1)).unwrap();
        fails(experiments(root).args(["data", "stats", "out"]), expected);
    }
    fs::write(&index, &text).unwrap();
    succeed(&mut check());
    fs::write(root.join("out/manifest.json"), "{}").unwrap();
    fails(&mut check(), "manifest.json: no manifest of a prepared data set");
}

#[test]
fn what_cannot_be_prepared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fails(&mut prepare(root, Path::new("nowhere"), "out", &[]), "nowhere: no such file or folder");
    fs::create_dir(root.join("empty")).unwrap();
    fails(
        &mut prepare(root, &root.join("empty"), "out", &[]),
        "holds no file of a layout that is known here",
    );
    fs::write(root.join("a.tar"), [b'x'; 2048]).unwrap();
    fails(&mut prepare(root, &root.join("a.tar"), "out", &[]), "a.tar: not a whole tar archive");
    let source = photographs(root);
    fails(&mut prepare(root, &source, "source/out", &[]), "lies in the folder of the source");
    let output = prepare(root, &source, "out", &["--quality", "0"]).output().unwrap();
    assert!(stderr(&output).contains("1..=100"), "{}", stderr(&output));
    fs::write(root.join("file"), "").unwrap();
    fails(&mut prepare(root, &source, "file/out", &[]), "cannot write file/out");
    fs::create_dir(source.join("train/class.9")).unwrap();
    fails(
        &mut prepare(root, &source, "out", &[]),
        "class.9: a class folder of `train` without a JPEG or PNG image",
    );
}

#[test]
fn what_is_passed_over_is_counted_wherever_data_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = photographs(root);
    let class = source.join("train/class.1");
    fs::write(class.join("b.jfif"), jpeg(20, 30, 1)).unwrap();
    fs::write(class.join("without-an-ending"), jpeg(20, 30, 2)).unwrap();
    fs::write(class.join("c.avif"), b"\0\0\0\x20ftypavif").unwrap();
    fs::write(class.join("._a.0.JPEG"), "junk").unwrap();
    fs::write(source.join("LICENSE"), "any use").unwrap();
    let told = "3 files passed over: 1 .avif (not read), 1 AppleDouble, 1 README, LICENSE and the like";
    let text = stdout(&succeed(&mut prepare(root, &source, "out", &[])));
    assert!(text.contains("50 images of class folders") && text.contains(told), "{text}");
    let json = stdout(&succeed(&mut prepare(root, &source, "again", &["--format", "json"])));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["passed_over"][".avif (not read)"], 1);
    let text = stdout(&succeed(experiments(root).args(["data", "check", "out"])));
    assert!(text.contains(told), "{text}");
    let manifest = "name = 'made'\nabout = ''\norigin = ''\nlicence = ''\nlayout = 'folders'\nclasses = []\nchannels = 3\nsize = 32";
    fs::write(root.join("made.toml"), manifest).unwrap();
    let stats =
        |data: &str| stderr(&succeed(experiments(root).args(["data", "stats", "made.toml", "--data", data])));
    assert_eq!(stats("source").trim_end(), format!("note: source: {told}"));
    // Documents alone are not worth a note.
    fs::remove_file(class.join("c.avif")).unwrap();
    fs::remove_file(class.join("._a.0.JPEG")).unwrap();
    assert_eq!(stats("source"), "");
}

/// 300 shards where a process may open 200 files.
#[cfg(unix)]
#[test]
fn more_shards_than_may_be_open_are_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("shards")).unwrap();
    let image = jpeg(16, 16, 3);
    for shard in 0..300 {
        let path = root.join(format!("shards/set-train-{shard:06}.tar"));
        let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
        for (name, body) in [(format!("n{shard}.cls"), &b"1"[..]), (format!("n{shard}.jpg"), &image)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(body.len() as u64);
            builder.append_data(&mut header, name, body).unwrap();
        }
        builder.finish().unwrap();
    }
    let mut limited = Command::new("bash");
    let program = env!("CARGO_BIN_EXE_experiments");
    limited.current_dir(root).args(["-c", "ulimit -n 200; exec \"$@\"", "-", program]);
    limited.args(["data", "prepare", "shards", "--out", "out", "--size", "32"]);
    let text = stdout(&succeed(&mut limited));
    assert!(text.contains("300 images of WebDataset shards"), "{text}");
}

/// A limit on the size of files fails like a full disk does: in the middle of a write.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_that_can_be_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = photographs(root);
    let script = "ulimit -f 40; trap '' XFSZ; exec \"$@\"";
    let mut limited = Command::new("bash");
    let program = env!("CARGO_BIN_EXE_experiments");
    limited.current_dir(root).args(["-c", script, "-", program, "data", "prepare"]).arg(&source);
    limited.args(["--out", "out", "--size", "32"]);
    fails(&mut limited, "what is done is kept, and the same command goes on from there");
    succeed(&mut prepare(root, &source, "out", &[]));
    succeed(&mut prepare(root, &source, "fresh", &[]));
    assert_eq!(contents(&root.join("out")), contents(&root.join("fresh")));
}

#[test]
fn statistics_are_of_all_training_images_and_stored() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    succeed(&mut prepare(root, &photographs(root), "out", &["--encoding", "raw"]));
    let output = succeed(experiments(root).args(["data", "stats", "out", "--format", "json"]));
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let set = Dataset::open_prepared(&root.join("out")).unwrap();
    let all = set.official_train();
    assert_eq!((all.len(), set.train.len(), set.validation.len()), (36, 33, 3));
    let mut sums = [0.0f64; 3];
    let mut products = 0.0;
    for image in (0..all.len()).map(|index| all.image(index).unwrap()) {
        let (red, rest) = image.split_at(32 * 32);
        let (green, blue) = rest.split_at(32 * 32);
        for (sum, plane) in sums.iter_mut().zip([red, green, blue]) {
            *sum += plane.iter().map(|&pixel| f64::from(pixel)).sum::<f64>();
        }
        products += red.iter().zip(red).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    }
    let pixels = (36 * 32 * 32) as f64;
    let means = sums.map(|sum| sum / pixels);
    let close = |found: &Value, expected: f64| assert!((found.as_f64().unwrap() - expected).abs() < 1e-9);
    (0..3).for_each(|channel| close(&told["channel_means"][channel], means[channel]));
    close(&told["channel_stds"][0], (products / pixels - means[0] * means[0]).sqrt());
    assert_eq!(told["mean_image"].as_array().unwrap().len(), 3 * 32 * 32);
    let stored = Statistics::of_training(&set, &AtomicBool::new(false)).unwrap();
    assert_eq!(serde_json::to_value(&stored).unwrap(), told);
    // The stored file is what is read, as long as it is of these images.
    let path = root.join("out/statistics.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen(&set.checksum, "of other images", 1)).unwrap();
    assert_eq!(Statistics::of_training(&set, &AtomicBool::new(false)).unwrap(), stored);
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(
        Statistics::of_training(&set, &AtomicBool::new(false))
            .unwrap_err()
            .to_string()
            .contains("make it anew with `data stats`")
    );
}

fn training(shared_by: usize) -> Draws {
    let colour = Colour { std: 0.1, reading: ColourReading::StandardDeviation, rescale: true };
    let crop = Crop { random: true, padding: 0 };
    Draws::Training {
        seed: 5,
        augmentation: Augmentation { crop, flip: 0.5, colour, shared_by, steps: Vec::new() },
    }
}

fn plain(draws: Draws) -> LoaderConfig {
    LoaderConfig {
        batch_size: 8,
        side: 28,
        padding: 0,
        mean: MeanKind::Image,
        scale: PixelScale::Levels,
        upload: Upload::Floats,
        draws,
        workers: 0,
    }
}

type Plain = (Vec<f32>, Vec<usize>);

/// The batches of the second epoch from one on.
fn batches(set: &Dataset, change: impl Fn(&mut LoaderConfig), skipped: usize) -> Vec<Plain> {
    let mut config = plain(training(1));
    change(&mut config);
    let statistics = Statistics::of_training(set, &AtomicBool::new(false)).unwrap();
    let loader = Loader::new(set.train.clone(), &statistics, config, devices()[0].1.clone()).unwrap();
    loader.set_epoch(2, skipped);
    let plain = |batch: alexnet_data::Batch| (batch.images.into_data().try_to_vec().unwrap(), batch.targets);
    loader.iter().map(|batch| plain(batch.unwrap())).collect()
}

#[test]
fn shards_feed_the_same_batches_to_any_number_of_workers_and_as_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for encoding in ["jpeg", "raw"] {
        succeed(&mut prepare(root, &photographs(root), encoding, &["--encoding", encoding]));
        let set = Dataset::open_prepared(&root.join(encoding)).unwrap();
        let expected = batches(&set, |_| {}, 0);
        assert_eq!(expected.iter().map(|(_, targets)| targets.len()).sum::<usize>(), 33);
        for workers in [1, 3] {
            assert_eq!(batches(&set, |config| config.workers = workers, 0), expected);
            assert_eq!(batches(&set, |config| config.workers = workers, 2), expected[2..]);
        }
        // The same operations in the same order.
        assert!(batches(&set, |config| config.upload = Upload::Bytes, 0) == expected, "{encoding}");
        let statistics = Statistics::of_training(&set, &AtomicBool::new(false)).unwrap();
        let once = LoaderConfig { upload: Upload::Once, ..plain(training(1)) };
        let refused = Loader::new(set.train.clone(), &statistics, once, devices()[0].1.clone());
        assert!(refused.err().unwrap().to_string().contains("cannot be sent at once; upload floats"));
        let unit = batches(&set, |config| config.scale = PixelScale::Unit, 0);
        let scaled = expected[0].0.iter().zip(&unit[0].0).all(|(a, b)| (a / 255.0 - b).abs() < 1e-6);
        assert!(scaled);
        let standardised = batches(&set, |config| config.scale = PixelScale::Standardised, 0);
        let std = Statistics::of_training(&set, &AtomicBool::new(false)).unwrap().channel_stds[0] as f32;
        assert!((expected[0].0[0] / std - standardised[0].0[0]).abs() < 1e-5);
    }
}

#[test]
fn neighbours_share_their_place_if_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // One image, over and over: what differs is where it is cut.
    let source = root.join("source/class");
    fs::create_dir_all(&source).unwrap();
    (0..40).for_each(|n| fs::write(source.join(format!("{n}.png")), png(40, 40, 3)).unwrap());
    succeed(&mut prepare(root, &root.join("source"), "out", &[]));
    let set = Dataset::open_prepared(&root.join("out")).unwrap();
    let places = |shared_by: usize| -> Vec<Vec<f32>> {
        let plain = |config: &mut LoaderConfig| {
            let colour = Colour { std: 0.0, reading: ColourReading::StandardDeviation, rescale: false };
            let crop = Crop { random: true, padding: 0 };
            config.draws = Draws::Training {
                seed: 5,
                augmentation: Augmentation { crop, flip: 0.5, colour, shared_by, steps: Vec::new() },
            };
        };
        let images = batches(&set, plain, 0).into_iter().flat_map(|(pixels, _)| pixels).collect::<Vec<f32>>();
        images.chunks(3 * 28 * 28).map(<[f32]>::to_vec).collect()
    };
    // Groups of four, across the borders of batches of eight too: 36 images, nine groups.
    let shared = places(4);
    assert!(shared.chunks(4).all(|group| group.iter().all(|image| *image == group[0])));
    let changes = |images: &[Vec<f32>]| images.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((6..=8).contains(&changes(&shared)), "{}", changes(&shared));
    assert!(changes(&places(1)) > 25);
}

#[test]
fn ten_views_of_shards_are_those_of_the_same_images_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let source = photographs(root);
    succeed(&mut prepare(root, &source, "out", &["--encoding", "raw"]));
    let manifest = toml::from_str(
        "name = 'made'\nabout = ''\norigin = ''\nlicence = ''\nlayout = 'folders'\nclasses = []\nchannels = 3\nsize = 32",
    )
    .unwrap();
    let (files, shards) =
        (Dataset::open(&manifest, &source).unwrap(), Dataset::open(&manifest, &root.join("out")).unwrap());
    assert_eq!((files.test.len(), &files.classes), (12, &shards.classes));
    let statistics = Statistics::of(&files.train, &AtomicBool::new(false)).unwrap();
    let views = |set: &Dataset| -> Vec<f32> {
        let config = LoaderConfig {
            batch_size: 12,
            side: 28,
            padding: 0,
            mean: MeanKind::Channel,
            scale: PixelScale::Levels,
            upload: Upload::Floats,
            draws: Draws::Views(Views::Ten),
            workers: 1,
        };
        let loader = Loader::new(set.test.clone(), &statistics, config, devices()[0].1.clone()).unwrap();
        loader.iter().next().unwrap().unwrap().images.into_data().try_to_vec().unwrap()
    };
    assert_eq!(views(&files), views(&shards));
}

#[test]
fn a_network_trains_from_shards_and_draws_sheets_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    succeed(&mut prepare(root, &photographs(root), "out", &[]));
    let manifest = "name = 'made'\nabout = 'x'\norigin = 'x'\nlicence = 'x'\nlayout = 'folders'\nclasses = []\nchannels = 3\nsize = 32";
    fs::write(root.join("made.toml"), manifest).unwrap();
    let train = |out: &str, more: &[&str]| {
        let mut command = experiments(root);
        command.args(["train", "cifar10", "--data", "out", "--epochs", "1", "--out", out, "--plain"]);
        command.args([
            "--set",
            "data.set=\"made.toml\"",
            "--set",
            "network.classes=3",
            "--set",
            "network.fc.fc8.units=3",
        ]);
        command
            .args(["--set", "data.augmentation.crop.padding=0", "--set", "network.input.size=28"])
            .args(more);
        command
    };
    let weights = |out: &str| {
        let mut run = fs::read_dir(root.join(out)).unwrap().flatten().map(|entry| entry.path());
        let run = run.find(|path| path.join("weights.bpk").is_file()).unwrap();
        fs::read(run.join("weights.bpk")).unwrap()
    };
    succeed(&mut train("alone", &["--workers", "0"]));
    succeed(&mut train("more", &["--workers", "3"]));
    assert_eq!(weights("alone"), weights("more"));
    // The place of shared draws and the scale of pixels are part of what a run is.
    succeed(&mut train("alone", &["--set", "data.augmentation.shared_by=32"]));
    succeed(&mut train("alone", &["--set", "data.scale=\"0-1\""]));
    let runs = fs::read_dir(root.join("alone"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().join("result.json").is_file());
    assert_eq!(runs.count(), 3);

    succeed(experiments(root).args(["data", "show", "out", "--out", "sheets", "--count", "5"]));
    for (sheet, tiles) in [("samples.png", 5), ("augmentation.png", 30)] {
        let file = std::io::BufReader::new(fs::File::open(root.join("sheets").join(sheet)).unwrap());
        let reader = png::Decoder::new(file).read_info().unwrap();
        assert!(reader.info().width as usize * reader.info().height as usize > tiles * 128 * 128);
    }
}

#[test]
fn bench_data_tells_the_rate_and_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    succeed(&mut prepare(root, &photographs(root), "out", &[]));
    let output =
        succeed(experiments(root).args(["bench", "data", "out", "--format", "json", "--workers", "2"]));
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(told["images_per_second"].as_f64().unwrap() > 0.0 && told["seconds"].as_f64().unwrap() >= 5.0);
    assert!(told["decoder"].as_str().unwrap().contains("libjpeg-turbo-rs"));
    assert!(told["peak_rss_bytes"].as_u64().is_some() || cfg!(not(target_os = "linux")));
    assert_eq!((told["side"].as_u64(), told["view"].as_str()), (Some(28), Some("train")));
    fails(experiments(root).args(["bench", "data", "nowhere"]), "no data set `nowhere`");
}

/// Where the photographs are: the path in `ALEXNET_BURN_PHOTOGRAPHS`, or `imagenet-samples.tar` in a folder `data` of one of the
/// checkout's neighbours. They may not be published.
fn samples() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ALEXNET_BURN_PHOTOGRAPHS") {
        return Some(path.into());
    }
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.read_dir().ok()?;
    let mut places = beside.flatten().map(|entry| entry.path().join("data/imagenet-samples.tar"));
    places.find(|path| path.is_file())
}

/// Against 64 pixels of each photograph as torchvision scales and cuts it (`tests/golden/resize.py`).
#[test]
fn real_photographs_are_scaled_as_by_torchvision() {
    let Some(source) = samples() else {
        eprintln!("the photographs are not here: only the pictures made for tests were scaled");
        return;
    };
    let golden = include_bytes!("golden/resize.bin");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let how = Preparation { size: 256, encoding: alexnet_data::Encoding::Raw, quality: 95, upright: false };
    alexnet_data::prepare(&source, &out, how, 2, &false.into(), &|_| {}).unwrap();
    let images = Dataset::open_prepared(&out).unwrap().official_train();
    assert_eq!(images.len() * 64 * 3, golden.len());
    for (at, golden) in golden.chunks(64 * 3).enumerate() {
        let image = images.image(at).unwrap();
        let place = |sample: usize| (at * 7919 + sample * 104_729) % 65536;
        let ours: Vec<u8> = (0..64 * 3).map(|i| image[(i % 3) * 65536 + place(i / 3)]).collect();
        assert!(ours == golden, "photograph {at}");
    }
}
