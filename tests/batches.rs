use std::sync::atomic::AtomicBool;

use alexnet_data::{
    Augmentation, AugmentationStep, Batch, Colour, ColourReading, Crop, Dataset, Draws, Loader, LoaderConfig,
    MeanKind, PixelScale, Statistics, Upload, Views,
};
use alexnet_train::{Classifier, Predictions, RunConfig, evaluate, evaluation_loader};
use burn::data::dataloader::DataLoader;

use crate::support::{devices, preset, tiny_idx};

fn dataset(folder: &std::path::Path) -> Dataset {
    let manifest = include_str!("../datasets/fashion-mnist-mini.toml").replace("images = {", "# {");
    let manifest = toml::from_str(&manifest).unwrap();
    Dataset::open(&manifest, &tiny_idx(&folder.join("images"), 12)).unwrap()
}

fn config(workers: usize, draws: Draws) -> LoaderConfig {
    LoaderConfig {
        batch_size: 7,
        side: 28,
        padding: 2,
        mean: MeanKind::Image,
        scale: PixelScale::Levels,
        upload: Upload::Floats,
        draws,
        workers,
    }
}

fn training(seed: u64) -> Draws {
    let augmentation = Augmentation {
        crop: Crop { random: true, padding: 2 },
        flip: 0.5,
        colour: Colour { std: 0.1, reading: ColourReading::StandardDeviation, rescale: true },
        shared_by: 1,
        steps: Vec::new(),
    };
    Draws::Training { seed, augmentation }
}

type Plain = (Vec<f32>, Vec<usize>);

fn all(loader: &Loader, epoch: usize) -> Vec<Plain> {
    rest(loader, epoch, 0)
}

/// The batches of an epoch but for the first `skipped`.
fn rest(loader: &Loader, epoch: usize, skipped: usize) -> Vec<Plain> {
    loader.set_epoch(epoch, skipped);
    let plain = |batch: Batch| (batch.images.into_data().try_to_vec().unwrap(), batch.targets);
    loader.iter().map(|batch| plain(batch.unwrap())).collect()
}

#[test]
fn any_number_of_workers_gives_the_same_batches() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path());
    let statistics = Statistics::of(&data.train, &AtomicBool::new(false)).unwrap();
    let device = devices()[0].1.clone();
    let loader = |workers| {
        Loader::new(data.train.clone(), &statistics, config(workers, training(3)), device.clone()).unwrap()
    };
    let expected = all(&loader(0), 2);
    assert_eq!(expected.iter().map(|(_, targets)| targets.len()).sum::<usize>(), data.train.len());
    for workers in [1, 4] {
        assert_eq!(all(&loader(workers), 2), expected, "{workers} workers");
        assert_eq!(
            rest(&loader(workers), 2, 3),
            expected[3..],
            "{workers} workers, from the fourth batch on"
        );
        assert_eq!(rest(&loader(workers), 2, expected.len()), [], "{workers} workers, at the end");
    }
    assert_ne!(all(&loader(0), 1), expected, "another epoch, another order");
    let other = Loader::new(data.train.clone(), &statistics, config(0, training(4)), device).unwrap();
    assert_ne!(all(&other, 2), expected, "another seed, other draws");
}

#[test]
fn images_that_wait_on_the_device_give_the_same_batches() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path());
    let statistics = Statistics::of(&data.train, &AtomicBool::new(false)).unwrap();
    for (name, device) in devices() {
        let loader = |workers: usize, upload: Upload, draws: Draws| {
            let config = LoaderConfig { upload, ..config(workers, draws) };
            Loader::new(data.train.clone(), &statistics, config, device.clone()).unwrap()
        };
        for draws in [training(3), Draws::Views(Views::Ten)] {
            let expected = all(&loader(0, Upload::Floats, draws.clone()), 2);
            let once = loader(2, Upload::Once, draws.clone());
            // The second time, the images are there.
            for found in [all(&once, 2), all(&once, 2), all(&loader(0, Upload::Once, draws.clone()), 2)] {
                assert_eq!(found.len(), expected.len());
                for ((found, targets), (expected, expected_targets)) in found.iter().zip(&expected) {
                    assert_eq!((found.len(), targets), (expected.len(), expected_targets));
                    // A processor has the same arithmetic; a GPU may round a sum and a product at once.
                    let limit = if name == "flex" { 0.0 } else { 1e-4 };
                    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= limit), "{name}");
                }
            }
        }
    }
    // A step before the crop is made on the host, from the image.
    let Draws::Training { seed, mut augmentation } = training(3) else { unreachable!() };
    augmentation.steps = vec![AugmentationStep::Cutout { size: 4 }];
    let config = LoaderConfig { upload: Upload::Once, ..config(0, Draws::Training { seed, augmentation }) };
    let refused = Loader::new(data.train, &statistics, config, devices()[0].1.clone());
    assert!(refused.err().unwrap().to_string().contains("upload floats"));
}

#[test]
fn splits_are_disjoint_balanced_and_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path());
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (110, 10, 20));
    let keys = |split: &alexnet_data::Split| {
        (0..split.len()).map(|i| split.key(i).unwrap().into_owned()).collect::<Vec<_>>()
    };
    let (train, validation) = (keys(&data.train), keys(&data.validation));
    assert!(validation.iter().all(|key| !train.contains(key)));
    let mut labels: Vec<usize> = (0..10).map(|i| data.validation.label(i)).collect();
    labels.sort_unstable();
    assert!(labels.into_iter().eq(0..10), "one of each class");
    assert_eq!(validation, keys(&dataset(folder.path()).validation));
}

#[test]
fn ten_views_keep_an_images_views_together() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path());
    let statistics = Statistics::of(&data.train, &AtomicBool::new(false)).unwrap();
    let config = config(1, Draws::Views(Views::Ten));
    let loader = Loader::new(data.test, &statistics, config, devices()[0].1.clone()).unwrap();
    let batch = loader.iter().next().unwrap().unwrap();
    assert_eq!(batch.images.dims(), [70, 1, 28, 28]);
    assert_eq!(batch.targets.len(), 7);
}

/// The `mini` network and recipe with this batch size.
fn run_config(batch_size: usize) -> RunConfig {
    let scale = include_str!("../experiments/scales/mini.toml");
    let mut scale: toml::Table = toml::from_str(scale).unwrap();
    ["name", "about", "seeds"].iter().for_each(|key| drop(scale.remove(*key)));
    scale.insert("network".to_owned(), toml::Value::try_from(preset("mini")).unwrap());
    let mut config: RunConfig = scale.try_into().unwrap();
    config.recipe.batch_size = batch_size;
    config
}

#[test]
fn ten_views_come_in_batches_of_the_training_size_and_give_the_same_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let data = dataset(folder.path());
    let statistics = Statistics::of(&data.train, &AtomicBool::new(false)).unwrap();
    let device = devices()[0].1.clone();
    let predict = |batch_size: usize| -> Predictions {
        let config = run_config(batch_size);
        let loader =
            evaluation_loader(&config, data.test.clone(), &statistics, Views::Ten, &device, 0).unwrap();
        // The views of one image come together, however few a training batch has.
        let most = batch_size.max(10);
        for batch in loader.iter() {
            let inputs = batch.unwrap().images.dims()[0];
            assert!(inputs <= most, "{inputs} inputs at once, and {batch_size} in training");
        }
        let model = Classifier::new(&config.network, 3, &device).unwrap();
        evaluate(model.network(), &loader, 10, batch_size, &AtomicBool::new(false)).unwrap()
    };
    let whole = predict(1000);
    assert_eq!((whole.targets.len(), whole.probabilities.len()), (20, 200));
    for batch_size in [128, 32, 10, 7, 1] {
        let divided = predict(batch_size);
        assert_eq!(divided.targets, whole.targets);
        assert!(divided.probabilities.iter().all(|probability| probability.is_finite()));
        let largest = divided.probabilities.iter().zip(&whole.probabilities);
        let largest = largest.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
        println!("batches of {batch_size}: probabilities differ by {largest:e} at most");
        assert!(largest < 1e-6, "batches of {batch_size}: {largest}");
    }
}
