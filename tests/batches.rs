use alexnet_data::{
    Augmentation, Batch, Colour, ColourReading, Crop, Dataset, Draws, Loader, LoaderConfig, MeanKind,
    PixelScale, Statistics, Upload, Views,
};
use burn::data::dataloader::DataLoader;

use crate::support::{devices, tiny_idx};

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
    let statistics = Statistics::of(&data.train).unwrap();
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
    let statistics = Statistics::of(&data.train).unwrap();
    let config = config(1, Draws::Views(Views::Ten));
    let loader = Loader::new(data.test, &statistics, config, devices()[0].1.clone()).unwrap();
    let batch = loader.iter().next().unwrap().unwrap();
    assert_eq!(batch.images.dims(), [70, 1, 28, 28]);
    assert_eq!(batch.targets.len(), 7);
}
