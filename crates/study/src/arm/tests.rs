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
fn arms_are_tried_together_and_each_is_left_out() {
    let lines = r#"
        arms = [
            { name = "slow", about = "", set = { "recipe.learning_rate" = 0.001 } },
            { name = "warm", about = "", set = { "recipe.warmup_steps" = 7 }, at = { small = { set = { "recipe.batch_size" = 16 } } } },
            { name = "long", about = "", like = "warm", times = { "recipe.epochs" = 2.0 } },
            { name = "all", about = "", like = ["slow", "long"], set = { "recipe.momentum" = 0.5 } },
            { name = "without-slow", about = "", like = "all", without = "slow", against = "all" },
            { name = "without-warm", about = "", like = "all", without = "warm", against = "all" },
        ]
        "#;
    let recipes: Vec<_> = arms(lines)
        .unwrap()
        .into_iter()
        .skip(4)
        .map(|(_, config)| {
            let recipe = config.recipe;
            (recipe.learning_rate, recipe.warmup_steps, recipe.batch_size, recipe.epochs, recipe.momentum)
        })
        .collect();
    let expected = [(0.001, 7, 16, 8, 0.5), (0.004, 7, 16, 8, 0.5), (0.001, 0, 32, 8, 0.5)];
    assert_eq!(recipes, expected);
}

#[test]
fn arms_that_are_like_no_arm_are_errors_with_their_key() {
    let two = |rest: &str| {
        arms(&format!(
            r#"arms = [{{ name = "slow", about = "", set = {{ "recipe.learning_rate" = 0.001 }} }}, {{ name = "b", about = "", {rest} }}]"#
        ))
        .unwrap_err()
    };
    for (rest, problem) in [
        (r#"like = "fast""#, "at `arms.b.like`: no arm before it is called `fast`: slow"),
        (r#"like = ["slow", "b"]"#, "at `arms.b.like`: no arm before it is called `b`: slow"),
        (r#"like = "slow", without = "fast""#, "at `arms.b.without`: it is not like `fast`: slow"),
        (r#"without = "slow""#, "at `arms.b.without`: it is not like `slow`: none"),
        (r#"like = 3"#, "the name of an arm, or a list of names"),
        (r#"like = "slow", without = "slow""#, "arm `b`"),
    ] {
        let error = two(rest);
        assert!(error.contains(problem), "{rest}: {error}");
    }
}

#[test]
fn an_ablation_of_another_has_its_base_and_its_arms() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let arms = r#"arms = [{ name = "warm", about = "", set = { "recipe.warmup_steps" = 7 } }]"#;
    std::fs::write(path("one.toml"), format!("{HEAD}{arms}")).unwrap();
    let grid = r#"grid = { like = ["on", "warm"], set = { "recipe.learning_rate" = [0.002, 0.004] } }"#;
    let base = r#", set = { "recipe.momentum" = 0.8 } }"#;
    let of = |name: &str, rest: &str| {
        let of = HEAD.replace(base, " }").replace("delta", &format!("of = {:?}\ndelta", path(name)));
        std::fs::write(path("two.toml"), of + rest).unwrap();
        let scale = Scale::load(&[SCALE], "small").unwrap();
        let ablation = Ablation::load(&[], &path("two.toml")).map_err(|error| error.to_string())?;
        let arms = resolve(&ablation, &scale, &Diff::default()).map_err(|error| error.to_string())?;
        let of = |(arm, config): (&Arm, RunConfig)| {
            let recipe = config.recipe;
            (arm.name.clone(), recipe.momentum, recipe.warmup_steps, recipe.learning_rate)
        };
        Ok::<_, String>(arms.into_iter().map(of).collect::<Vec<_>>())
    };
    let arm = |name: &str, warm_up: usize, rate: f64| (name.to_owned(), 0.8, warm_up, rate);
    let expected = [
        arm("on", 0, 0.004),
        arm("on, learning_rate 0.002", 0, 0.002),
        arm("warm, learning_rate 0.002", 7, 0.002),
        arm("warm, learning_rate 0.004", 7, 0.004),
    ];
    assert_eq!(of("one.toml", grid).unwrap(), expected);
    let same = of("one.toml", arms).unwrap_err();
    assert!(same.contains("two arms are called `warm`"), "{same}");
    let circle = of("two.toml", grid).unwrap_err();
    assert!(circle.contains("is itself of another ablation"), "{circle}");
    let unknown = of("one.toml", &grid.replace("warm", "cold")).unwrap_err();
    assert!(unknown.contains("at `arms.cold, learning_rate 0.002.like`: no arm before it"), "{unknown}");
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

#[test]
fn an_arm_that_equals_its_reference_is_refused() {
    let lines = r#"
        arms = [
            { name = "slow", about = "", set = { "recipe.learning_rate" = 0.001 } },
            { name = "same", about = "", like = "slow", against = "slow", set = { "recipe.learning_rate" = 0.001 } },
        ]
        "#;
    let error = arms(lines).unwrap_err();
    assert!(error.contains("arm `same`") && error.contains("equal to the arm of its `against`"), "{error}");
    let other = arms(&lines.replace(
        "against = \"slow\", set = { \"recipe.learning_rate\" = 0.001 }",
        "against = \"slow\", set = { \"recipe.learning_rate\" = 0.002 }",
    ));
    assert_eq!(other.unwrap().len(), 3);
}

#[test]
fn numbers_that_cannot_be_compared_with_are_refused() {
    for (arm, expected) in [
        ("paper = 0.0", "paper`: it must be a number other than 0"),
        ("paper = nan", "paper`: it must be a number other than 0"),
        ("paper_ratio = 1.0", "paper_ratio`: it must be a positive number other than 1"),
        ("paper_ratio = -2.0", "paper_ratio`: it must be a positive number other than 1"),
    ] {
        let lines =
            format!("[[arms]]\nname = \"a\"\nabout = \"\"\nset = {{ \"recipe.epochs\" = 5 }}\n{arm}\n");
        let error = arms(&lines).unwrap_err();
        assert!(error.contains(expected), "{arm}: {error}");
    }
    for delta in ["0.0", "-0.3", "inf", "nan"] {
        let toml = format!(
            "{}[[arms]]\nname = \"a\"\nabout = \"\"\nset = {{ \"recipe.epochs\" = 5 }}\n",
            HEAD.replace("delta = 0.3", &format!("delta = {delta}"))
        );
        let error = Ablation::parse(&toml).unwrap_err().to_string();
        assert!(error.contains("`delta`"), "{delta}: {error}");
    }
}
