use super::*;

fn config() -> RunConfig {
    let preset = alexnet_model::Preset::ALL.iter().find(|preset| preset.name == "mini").unwrap();
    let rest = r#"
        initial = { weights = "", anew = [] }
        [data]
        set = "a-set"
        mean = "image"
        [data.augmentation]
        crop = { random = true, padding = 1 }
        flip = 0.5
        shared_by = 1
        colour = { std = 0.1, reading = "standard-deviation", rescale = true }
        [recipe]
        epochs = 8
        batch_size = 32
        learning_rate = 0.004
        momentum = 0.9
        weight_decay = 0.0005
        schedule = { cosine = { final_share = 0.02 } }
        warmup_steps = 0
        final_weights = "last"
        training_error = { images = 0, stop_at = 0.0 }
        [evaluation]
        views = "centre"
    "#;
    let mut all: toml::Table = toml::from_str(rest).unwrap();
    all.insert("network".to_owned(), toml::from_str(preset.toml).unwrap());
    all.try_into().unwrap()
}

fn identity(config: &RunConfig, operations: Implementation) -> String {
    config.identity_on("a-set", "0123456789abcdef", 3, operations)
}

/// A change here renames every run, and users' finished runs are trained again. If results change, raise
/// [`RESULTS`]. Otherwise, leave a new key out of the hash at the value that keeps the old meaning.
#[test]
fn identities_are_what_they_were() {
    assert_eq!(RESULTS, 3, "with another version there are other identities: replace those below");
    let plain = config();
    let mut other = config();
    other.data.scale = PixelScale::Unit;
    other.data.classes = vec![1, 2];
    other.data.labelled = 5;
    other.data.augmentation.shared_by = 32;
    other.initial = Initial { weights: "fedcba".to_owned(), anew: vec!["fc8".to_owned()] };
    let found = [
        identity(&plain, Implementation::Fast),
        identity(&plain, Implementation::Composed),
        identity(&other, Implementation::Fast),
    ];
    assert_eq!(found, ["c1bd95790d73", "d3310393f413", "d343b0919a1f"]);
}

#[test]
fn names_paths_and_tests_are_no_part_of_an_identity() {
    let (plain, mut other) = (config(), config());
    let mut resized = config();
    resized.data.size = 40;
    assert_ne!(identity(&plain, Implementation::Fast), identity(&resized, Implementation::Fast));
    other.network.name = "other".to_owned();
    other.network.sources.clear();
    other.data.set = "/elsewhere/a-set.toml".to_owned();
    other.evaluation.views = Views::Ten;
    assert_eq!(identity(&plain, Implementation::Fast), identity(&other, Implementation::Fast));
    other.recipe.precision = alexnet_ops::Precision::F32;
    assert_ne!(identity(&plain, Implementation::Fast), identity(&other, Implementation::Fast));
    other.recipe.precision = alexnet_ops::Precision::default();
    other.recipe.epochs += 1;
    assert_ne!(identity(&plain, Implementation::Fast), identity(&other, Implementation::Fast));
}
