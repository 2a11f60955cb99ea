//! Presets against their sources, shapes and counts, and what layers compute.

use std::collections::HashMap;

use alexnet_ops::Backend;
use burn::module::Module;
use burn::tensor::Device;

use crate::{Mode, Network, Preset, Reads, Stage, Trace};

fn preset(name: &str) -> Network {
    Preset::load(name).unwrap()
}

fn device() -> Device {
    Backend::in_this_build()[0].device().unwrap()
}

fn sides(network: &Network) -> Vec<usize> {
    network.trace().unwrap().map_sizes().into_iter().map(|(_, side)| side).collect()
}

#[test]
fn layer_by_layer_the_paper_network_is_the_papers() {
    let trace = preset("alexnet-2012").trace().unwrap();
    let found: Vec<(&str, usize, usize)> =
        trace.layers.iter().map(|layer| (layer.name.as_str(), layer.side, layer.parameters)).collect();
    let expected = [
        ("conv1", 55, 34_944),
        ("conv2", 27, 307_456),
        ("conv3", 13, 885_120),
        ("conv4", 13, 663_936),
        ("conv5", 13, 442_624),
        ("fc6", 1, 37_752_832),
        ("fc7", 1, 16_781_312),
        ("fc8", 1, 4_097_000),
    ];
    assert_eq!(found, expected);
    assert_eq!(sides(&preset("alexnet-2012")), [27, 13, 13, 13, 6, 1, 1, 1]);
    // Units as in figure 2 (the first is 55·55·96, which the caption misprints).
    let units: Vec<usize> =
        trace.layers.iter().map(|layer| layer.side * layer.side * layer.outputs * layer.towers).collect();
    assert_eq!(units, [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]);
    assert_eq!(units.iter().sum::<usize>(), 659_272);
    // 4.136 GFLOP a training image: 2 · (3 · all − conv1's input gradient), multiply-adds.
    let conv1 = trace.layers[0].multiply_adds;
    let flops = 2 * (3 * trace.multiply_adds() - conv1);
    assert!((flops as f64 / 4.136e9 - 1.0).abs() < 0.001, "{flops}");
}

#[test]
fn without_towers_the_paper_network_has_more_parameters() {
    let ungrouped = Network { towers: 1, ..preset("alexnet-2012") };
    assert_eq!(ungrouped.trace().unwrap().parameters(), 62_378_344);
}

#[test]
fn small_presets_keep_the_papers_layers() {
    let names = |network: &Network| {
        let conv = network.conv.iter().map(|layer| layer.name.clone());
        conv.chain(network.fc.iter().map(|layer| layer.name.clone())).collect::<Vec<_>>()
    };
    let paper = names(&preset("alexnet-2012"));
    for name in ["mini", "cifar10"] {
        assert_eq!(names(&preset(name)), paper, "{name}");
        assert_eq!(preset(name).towers, 2);
    }
}

/// What counts and shapes do not show, from the sources that the presets name: standard deviations; biases; multipliers of the
/// weights' decay; rate and decay of biases; normalizations as `size alpha beta k convention`.
#[test]
fn constants_are_those_of_the_sources() {
    let paper = "5 0.0001 0.75 2 sum";
    let [as_run, caffe] = ["5 0.0001 0.75 2 mean", "5 0.0001 0.75 1 mean"];
    let large = [0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01];
    let (even, ones) = ([0.01; 8], [1.0; 8]);
    let biases = [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0];
    let tenths = biases.map(|bias| 0.1 * bias);
    let caffes = [0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01];
    type Row<'a> = (&'a str, &'a [f64], &'a [f64], &'a [f64], [f64; 2], &'a [&'a str]);
    let (text, code) = ([1.0, 1.0], [2.0, 0.0]);
    let rows: [Row; 9] = [
        ("alexnet-2012", &even, &biases, &ones, text, &[paper, paper]),
        (
            "alexnet-2012-as-run",
            &large,
            &biases,
            &ones,
            code,
            &[as_run, as_run, "5 0.001 0.75 1 mean in maps"],
        ),
        ("caffe-alexnet", &caffes, &tenths, &ones, code, &[caffe, caffe]),
        (
            "one-weird-trick",
            &large,
            &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, -7.0],
            &ones,
            code,
            &[as_run, as_run],
        ),
        // Decay 0.004, and 0.03, 3, 1, 0.01 where it is another.
        ("cifar10-80sec", &[1e-4, 0.01, 0.01, 0.1, 0.1], &[0.0; 5], &[1.0, 1.0, 1.0, 7.5, 7.5], code, &[]),
        ("cifar10-19pct", &[1e-4, 0.01, 0.01, 0.01], &[0.0; 4], &[1.0, 1.0, 1.0, 750.0], code, &[]),
        (
            "cifar10-18pct",
            &[1e-4, 0.01, 0.01, 0.01],
            &[0.0; 4],
            &[1.0, 1.0, 1.0, 250.0],
            code,
            &["3 0.00005 0.75 1 mean in maps"; 2],
        ),
        (
            "cifar10-conv-local-13pct",
            &[1e-4, 0.01, 0.04, 0.04, 0.01],
            &[0.0; 5],
            &[0.0, 0.0, 1.0, 1.0, 1.0],
            code,
            &[],
        ),
        (
            "cifar10-conv-local-11pct",
            &[1e-4, 0.01, 0.04, 0.04, 0.01],
            &[0.0; 5],
            &[0.0, 0.0, 1.0, 1.0, 2.5],
            code,
            &["9 0.001 0.75 1 mean"; 2],
        ),
    ];
    for (name, stds, expected_biases, decays, of_biases, normalizations) in rows {
        let network = preset(name);
        let conv = network.conv.iter().map(|layer| (layer.weight_std, layer.bias, layer.update));
        let fc = network.fc.iter().map(|layer| (layer.weight_std, layer.bias, layer.update));
        let layers: Vec<_> = conv.chain(fc).collect();
        assert_eq!(layers.iter().map(|layer| layer.0).collect::<Vec<_>>(), stds, "{name}");
        assert_eq!(layers.iter().map(|layer| layer.1).collect::<Vec<_>>(), expected_biases, "{name}");
        assert_eq!(layers.iter().map(|layer| layer.2.weight_decay).collect::<Vec<_>>(), decays, "{name}");
        for (_, _, update) in &layers {
            assert_eq!([update.bias_rate, update.bias_decay], of_biases, "{name}");
            assert_eq!((update.weight_rate, update.frozen_from), (1.0, None), "{name}");
        }
        let text = |lrn: &alexnet_ops::Lrn, place: &str| {
            let convention = format!("{:?}", lrn.convention).to_lowercase();
            format!("{} {} {} {} {convention}{place}", lrn.size, lrn.alpha, lrn.beta, lrn.k)
        };
        let stages = network.conv.iter().flat_map(|layer| &layer.stages);
        let found: Vec<String> = stages
            .filter_map(|stage| match stage {
                Stage::Lrn(lrn) => Some(text(lrn, "")),
                Stage::SpatialLrn(lrn) => Some(text(lrn, " in maps")),
                _ => None,
            })
            .collect();
        assert_eq!(found, normalizations, "{name}");
    }
}

/// Every kind of layer in the family computes and has its gradients.
#[test]
fn local_layers_and_groups_train() {
    let mut network = preset("cifar10-conv-local-11pct");
    network.conv[1].groups = 2;
    network.conv[1].reads = Reads::All;
    let device = device().autodiff();
    let model = network.init(0, &device).unwrap();
    let images = burn::tensor::Tensor::<4>::ones([2, 3, 24, 24], &device);
    let logits = model.forward(images, Mode::Evaluation);
    assert_eq!(logits.dims(), [2, 10]);
    let gradients = burn::optim::GradientsParams::from_grads(logits.square().sum().backward(), &model);
    assert_eq!(gradients.len(), model.parameters().len());
    assert_eq!(model.num_params(), network.trace().unwrap().parameters());
}

/// Grad-CAM cuts the graph at a layer's maps. The gradient there is that of finite differences.
#[test]
fn maps_that_an_observer_returns_take_their_place_and_have_gradients() {
    let network = preset("mini");
    let device = device();
    let images = burn::tensor::Tensor::<4>::ones([1, 1, 28, 28], &device).mul_scalar(90.0);
    let with_gradients = device.clone().autodiff();
    let model = network.init(0, &with_gradients).unwrap();
    let mut cut = Vec::new();
    let observed = model.forward_observed(
        burn::tensor::Tensor::from_inner(images.clone()),
        Mode::Evaluation,
        &mut |place, maps| {
            if place.layer != "conv5" || !matches!(place.next, Some(Stage::MaxPool(_))) {
                return maps;
            }
            cut.push(maps.detach().require_grad());
            cut[cut.len() - 1].clone()
        },
    );
    let gradients = observed.clone().slice([0..1, 3..4]).sum().backward();
    assert_eq!(cut.len(), 2, "a tensor for each tower");
    let gradient = cut[1].grad(&gradients).unwrap();
    let values = |tensor: burn::tensor::Tensor<4>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let (maps, slopes) = (values(cut[1].clone().inner()), values(gradient));
    let at = (0..maps.len()).max_by(|a, b| slopes[*a].abs().total_cmp(&slopes[*b].abs())).unwrap();
    let plain = network.init(0, &device).unwrap();
    let logit = |change: f32| -> f32 {
        let mut tower = 0;
        let logits = plain.forward_observed(images.clone(), Mode::Evaluation, &mut |place, maps| {
            if place.layer != "conv5" || !matches!(place.next, Some(Stage::MaxPool(_))) || place.tower != 1 {
                return maps;
            }
            assert_eq!(place.passed, 1, "the activation");
            tower += 1;
            let mut numbers = values(maps.clone());
            numbers[at] += change;
            burn::tensor::Tensor::from_data(burn::tensor::TensorData::new(numbers, maps.dims()), &device)
        });
        assert_eq!(tower, 1);
        logits.slice([0..1, 3..4]).into_scalar()
    };
    let step = 0.004 * maps[at].abs().max(1.0);
    let slope = (logit(step) - logit(-step)) / (2.0 * step);
    // The network is linear around these maps up to its ReLUs: f32's rounding of a difference remains.
    assert!((slope - slopes[at]).abs() < 0.02 * slopes[at].abs() + 1e-5, "{slope} and {}", slopes[at]);
    let untouched: f32 = observed.inner().slice([0..1, 3..4]).into_scalar();
    assert!((untouched - logit(0.0)).abs() < 1e-4, "the rest is computed as before");
}

#[test]
fn arms_share_initial_weights_by_name_where_shapes_agree() {
    let device = &device();
    let first = |network: &Network, seed| -> HashMap<String, (Vec<usize>, Vec<f32>)> {
        let network = network.init(seed, device).unwrap();
        network.parameters().into_iter().map(|(name, shape, values)| (name, (shape, values))).collect()
    };
    let base = preset("mini");
    let mut without_conv3 = base.clone();
    without_conv3.conv.remove(2);
    without_conv3.conv[2].reads = Reads::All;
    let (ours, theirs) = (first(&base, 1), first(&without_conv3, 1));
    for name in ["conv1.0.weight", "conv2.1.weight", "fc6.0.weight", "fc8.0.weight"] {
        assert_eq!(ours[name], theirs[name], "{name}");
    }
    assert_ne!(ours["conv1.0.weight"], ours["conv1.1.weight"], "towers start apart");
    assert_ne!(ours["conv1.0.weight"], first(&base, 2)["conv1.0.weight"], "seeds differ");
    let (_, weights) = &ours["fc7.0.weight"];
    let spread = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
    let expected = base.fc[1].weight_std as f32;
    assert!((spread / expected - 1.0).abs() < 0.03, "{spread}");
    assert!(ours["conv2.0.bias"].1.iter().all(|&bias| bias == base.conv[1].bias as f32));
}

#[test]
fn layers_that_do_not_fit_are_errors_that_name_the_layer() {
    let mut network = preset("mini");
    network.conv[1].filters = 31;
    assert!(network.trace().unwrap_err().to_string().contains("`conv2`: 31 filters"));
    let mut network = preset("mini");
    network.conv[4].kernel = 9;
    assert!(network.trace().unwrap_err().to_string().contains("`conv5`: a 3×3 map"));
    let mut network = preset("mini");
    network.classes = 11;
    assert!(network.trace().unwrap_err().to_string().contains("`fc8` has 10 units"));
    // A second mask would be the first again.
    for fully_connected in [false, true] {
        let mut network = preset("mini");
        let stages = if fully_connected { &mut network.fc[0].stages } else { &mut network.conv[0].stages };
        stages.retain(|stage| !matches!(stage, Stage::Dropout(_)));
        stages.push(Stage::Dropout(0.5));
        network.trace().unwrap();
        let stages = if fully_connected { &mut network.fc[0].stages } else { &mut network.conv[0].stages };
        stages.push(Stage::Dropout(0.25));
        assert!(network.trace().unwrap_err().to_string().contains("dropout can be there once"));
    }
}

#[test]
fn the_images_can_be_the_largest_tensor() {
    let trace = preset("mini").trace().unwrap();
    assert_eq!(trace.input, 28 * 28);
    let without_layers = Trace { layers: Vec::new(), ..trace };
    assert_eq!((without_layers.largest_tensor(3), without_layers.largest_output(3)), (3 * 28 * 28, 0));
}
