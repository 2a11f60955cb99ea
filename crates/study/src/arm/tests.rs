use alexnet_config::BuiltIn;

use super::*;

const SCALE: BuiltIn = BuiltIn {
    name: "small",
    toml: r#"
name = "small"
about = "made for a test"
network = "mini"
seeds = 2

[data]
set = "any"
mean = "image"
scale = "0-255"

[data.augmentation]
crop = { random = true, padding = 1 }
flip = 0.0
shared_by = 1
colour = { std = 0.0, reading = "standard-deviation", rescale = true }

[recipe]
epochs = 4
batch_size = 32
learning_rate = 0.004
momentum = 0.9
weight_decay = 0.0005
schedule = "constant"
warmup_steps = 0
final_weights = "last"
training_error = { images = 0, stop_at = 0.0 }

[evaluation]
views = "centre"
"#,
};

const HEAD: &str = r#"
name = "any"
question = "?"
quantity = "test-error"
delta = 0.3
claim = { text = "", section = "", data = "" }
base = { name = "on", about = "", set = { "recipe.momentum" = 0.8 } }
"#;

/// Resolves an ablation with these lines after [`HEAD`] to names and configs, or returns the error's text.
fn resolved(lines: &str, command_line: &Diff) -> Result<Vec<(String, RunConfig)>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.toml");
    std::fs::write(&path, format!("{HEAD}{lines}")).unwrap();
    let scale = Scale::load(&[SCALE], "small").unwrap();
    let ablation =
        Ablation::load(&[], path.to_str().unwrap()).map_err(|error| error.to_string().replace('\n', " "))?;
    let arms = resolve(&ablation, &scale, command_line).map_err(|error| error.to_string())?;
    Ok(arms.into_iter().map(|(arm, config)| (arm.name.clone(), config)).collect())
}

fn arms(lines: &str) -> Result<Vec<(String, RunConfig)>, String> {
    resolved(lines, &Diff::default())
}

#[test]
fn an_arm_is_the_base_with_its_changes_and_those_of_the_arm_it_is_like() {
    let found = arms(
        r#"
        arms = [
            { name = "fast", about = "", set = { "recipe.learning_rate" = 0.01 }, at = { small = { set = { "recipe.warmup_steps" = 7 } }, large = { set = { "recipe.warmup_steps" = 9 } } } },
            { name = "long", about = "", like = "fast", times = { "recipe.epochs" = 2.0 } },
        ]
        "#,
    );
    let found = found.unwrap();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["on", "fast", "long"]);
    let recipes: Vec<_> = found
        .iter()
        .map(|(_, config)| {
            let recipe = &config.recipe;
            (recipe.momentum, recipe.learning_rate, recipe.warmup_steps, recipe.epochs)
        })
        .collect();
    assert_eq!(recipes, [(0.8, 0.004, 0, 4), (0.8, 0.01, 7, 4), (0.8, 0.01, 7, 8)]);
}

#[test]
fn the_command_line_overrides_every_arm_and_may_not_make_one_the_base() {
    let lines = r#"arms = [{ name = "fast", about = "", set = { "recipe.learning_rate" = 0.01 } }]"#;
    let set = |key: &str, value: f64| Diff {
        set: [(key.to_owned(), toml::Value::Float(value))].into(),
        ..Diff::default()
    };
    let found = resolved(lines, &set("recipe.momentum", 0.5)).unwrap();
    assert!(found.iter().all(|(_, config)| config.recipe.momentum == 0.5));
    let error = resolved(lines, &set("recipe.learning_rate", 0.1)).unwrap_err();
    assert!(error.contains("arm `fast`") && error.contains("equal to the base after `--set`"), "{error}");
}

#[test]
fn an_arm_that_changes_nothing_or_more_than_it_says_is_an_error() {
    let one = |arm: &str| arms(&format!("arms = [{{ name = \"arm\", about = \"\", {arm} }}]")).unwrap_err();
    let none = one(r#"set = { "recipe.momentum" = 0.8 }"#);
    assert!(none.contains("arm `arm`"), "{none}");
    let more = one(r#"set = { "network.conv.conv1.filters" = 32 }"#);
    assert!(more.contains("parameters"), "{more}");
    let larger = one(r#"remove = ["network.conv.conv1.stages.max-pool"], changes = ["parameters"]"#);
    assert!(larger.contains("map"), "{larger}");
    let unknown = one(r#"set = { "recipe.momentun" = 0.8 }"#);
    assert!(unknown.contains("momentun") && unknown.contains("momentum"), "{unknown}");
    let begins = one(r#"set = { "initial.weights" = "source" }"#);
    assert!(begins.contains("source"), "{begins}");
}

#[test]
fn a_grid_is_every_combination_but_the_bases_own() {
    let found = arms(
        r#"
        [grid]
        set = { "recipe.momentum" = [0.8, 0.9], "recipe.learning_rate" = [0.004, 0.01] }
        "#,
    );
    let found = found.unwrap();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "on",
            "learning_rate 0.004, momentum 0.9",
            "learning_rate 0.01, momentum 0.8",
            "learning_rate 0.01, momentum 0.9"
        ]
    );
    let alone = arms("grid = { set = { \"recipe.momentum\" = [0.8] } }").unwrap_err();
    assert!(alone.contains("no combination but the base itself"), "{alone}");
}
