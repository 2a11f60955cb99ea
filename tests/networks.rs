use crate::support::{experiments, stderr, stdout, succeed};

/// Published counts, or counts of published tables; and the sides of the maps that each layer passes on.
#[test]
fn parameter_counts_and_shapes_are_those_of_the_facts() {
    let imagenet = [27, 13, 13, 13, 6].as_slice();
    let expected = [
        ("alexnet-2012", 60_965_224, imagenet), // grouped; ungrouped it would be 62,378,344
        ("alexnet-2012-half", 59_798_312, imagenet),
        ("alexnet-2012-as-run", 60_965_224, imagenet),
        ("alexnet-2012-as-run-half", 59_798_312, imagenet),
        ("alexnet-2012-146", 61_555_304, &[27, 13, 13, 13, 6, 6]),
        ("alexnet-2012-147", 60_965_224, &[28, 13, 13, 11, 6]),
        ("alexnet-2012-148", 60_965_224, imagenet),
        ("alexnet-2012-150", 81_591_720, imagenet),
        ("alexnet-2012-166", 60_965_224, imagenet),
        ("alexnet-2012-167", 60_965_224, imagenet),
        ("caffe-alexnet", 60_965_224, imagenet),
        ("caffenet", 60_965_224, imagenet),
        ("one-weird-trick", 61_100_840, imagenet),
        ("torchvision", 61_100_840, imagenet),
        ("zfnet", 62_357_608, &[55, 13, 13, 13, 6]), // the sum of figure 3's layers
        ("cifar10-80sec", 145_578, &[16, 8, 4]),
        ("cifar10-19pct", 89_578, &[16, 8, 4]),
        ("cifar10-18pct", 89_578, &[16, 8, 4]),
        ("cifar10-conv-local-13pct", 1_116_490, &[12, 6, 6, 6]),
        ("cifar10-conv-local-11pct", 2_112_970, &[12, 6, 6, 6]),
        ("mini", 0, &[6, 3, 3, 3, 2]), // this project's own: no published count
        ("fashion", 0, &[7, 3, 3, 3, 1]),
        ("cifar10", 0, &[16, 8, 8, 8, 4]),
        ("linear", 7_850, &[]),
    ];
    let names: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, alexnet_model::Preset::ALL.iter().map(|preset| preset.name).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    for (name, parameters, sides) in expected {
        let output = succeed(experiments(folder.path()).args(["model", name, "--format", "json"]));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["name"], name);
        if parameters > 0 {
            assert_eq!(found["parameters"], parameters, "{name}");
        }
        let maps = found["layers"].as_array().unwrap().iter().filter_map(|layer| {
            layer["after"].as_str().unwrap().rsplit_once(" × ").map(|(_, side)| side.parse().unwrap())
        });
        assert_eq!(maps.collect::<Vec<usize>>(), sides, "{name}");
    }
}

/// The fine print of the facts, as `model --diff` says it.
#[test]
fn what_differs_between_two_networks_is_what_their_sources_say() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |one: &str, other: &str| {
        let output = succeed(experiments(folder.path()).args(["model", one, "--diff", other]));
        stdout(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let found = lines("caffe-alexnet", "caffenet");
    // Pooling and LRN change places twice, and five biases are 1 instead of 0.1.
    assert_eq!(found.len(), 7, "{found:?}");
    assert_eq!(found.iter().filter(|line| line.ends_with("0.1  →  1.0")).count(), 5);
    let found = lines("alexnet-2012-as-run", "alexnet-2012-146");
    assert!(found[0].ends_with("conv4, conv5, conv6"), "{found:?}");
    let more = &found[1..];
    assert!(more.iter().all(|line| line.starts_with("conv.conv6.") && line.contains("-  →")), "{found:?}");
    assert_eq!(lines("mini", "mini"), ["no difference"]);
    let output = experiments(folder.path()).args(["model", "resnet"]).output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("there is no network `resnet`; choose one of alexnet-2012"));
}
