use std::collections::{BTreeMap, HashMap};

use alexnet_model::{AlexNet, Mode, Network, NetworkError};
use alexnet_ops::{AlphaConvention, Lrn, Precision, lrn};
use alexnet_weights::{Names, Weights};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;

use crate::support::{devices, parameter_name, repository, tolerance};

#[derive(Deserialize)]
struct TwoTowers {
    images: Vec<f32>,
    targets: Vec<usize>,
    logits: Vec<f32>,
    loss: f32,
    parameters: HashMap<String, GoldenParameter>,
}

#[derive(Deserialize)]
struct GoldenParameter {
    weight: Vec<f32>,
    bias: Vec<f32>,
    weight_gradient: Vec<f32>,
    bias_gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct Responses {
    maps: Vec<f32>,
    upstream: Vec<f32>,
    cases: Vec<ResponseCase>,
}

#[derive(Deserialize)]
struct ResponseCase {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
    output: Vec<f32>,
    gradient: Vec<f32>,
}

fn golden<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = repository(&format!("tests/golden/{name}"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// `‖a − b‖ / ‖b‖`
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "different lengths");
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let error = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    if error == 0.0 { 0.0 } else { error / norm(&mut b.iter().copied()) }
}

/// `‖a − b‖ ≤ tolerance · ‖b‖`, and no element off by more than that share of the largest.
fn close(what: &str, a: &[f32], b: &[f32], tolerance: f32) {
    let error = apart(a, b);
    println!("{what}: {error:.1e}");
    assert!(error <= tolerance, "{what}: off by {error}");
    let largest = b.iter().fold(0f32, |m, v| m.max(v.abs()));
    let off = a.iter().zip(b).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off <= tolerance * largest + 1e-9, "{what}: an element is off by {off} of {largest}");
}

/// Gradients by parameter name; a parameter without one is a failure.
struct Gradients<'a> {
    path: Vec<String>,
    network: Network,
    gradients: &'a GradientsParams,
    found: HashMap<String, Vec<f32>>,
}

impl ModuleVisitor for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = parameter_name(&self.network, &self.path);
        let gradient = self.gradients.get::<D>(param.id).unwrap_or_else(|| panic!("{name} has no gradient"));
        self.found.insert(name, gradient.into_data().try_to_vec().unwrap());
    }
}

fn gradients(network: &AlexNet, loss: Tensor<1>) -> HashMap<String, Vec<f32>> {
    let gradients = GradientsParams::from_grads(loss.backward(), network);
    let config = network.network().clone();
    let mut visitor =
        Gradients { path: Vec::new(), network: config, gradients: &gradients, found: HashMap::new() };
    network.visit(&mut visitor);
    visitor.found
}

/// By what share results may differ from PyTorch's in f32, after this number of products one after the other.
///
/// With `b` bits, a product's two factors and perhaps its result are each off by up to 2^-b. These errors are independent, so their
/// norms add up as squares: `2^-b · √(3 · products)`. In f32, with 24 bits, the sums count as well: a few hundred terms in another
/// order, about 20 times as much, which is below 1e-5 for ten products. TF32, of 11 bits, was off by 2.1e-4.
fn bound(name: &str, precision: Precision, products: i32) -> f32 {
    let bits = |bits: i32| 2f32.powi(-bits) * (3.0 * products as f32).sqrt();
    match precision {
        Precision::Device if name.starts_with("cuda") => bits(11),
        Precision::Device | Precision::F32 => 1e-5,
        Precision::Tf32 => bits(11),
        Precision::Bf16 => bits(8),
    }
}

/// The products from the image to the logits of `two_towers`.
const PRODUCTS: i32 = 5;

struct Found {
    logits: Vec<f32>,
    loss: f32,
    gradients: HashMap<String, Vec<f32>>,
}

/// The outputs of a network with the golden weights for the golden images.
fn found(toml: &str, device: &Device, precision: Precision) -> Found {
    let golden: TwoTowers = golden("two_towers.json");
    let config: Network = toml::from_str(toml).unwrap();
    let device = device.clone().autodiff();
    let built = config.build::<NetworkError>(&device, &mut |wanted| {
        let (layer, kind) = wanted.name.rsplit_once('.').unwrap();
        let parameter = &golden.parameters[layer];
        Ok(if kind == "weight" { parameter.weight.clone() } else { parameter.bias.clone() })
    });
    let network = built.unwrap().with_precision(precision);
    let images = Tensor::<4>::from_data(TensorData::new(golden.images, [3, 3, 13, 13]), &device);
    let logits = network.forward(images, Mode::Evaluation);
    let loss = alexnet_ops::cross_entropy(logits.clone(), &golden.targets);
    Found {
        logits: logits.into_data().try_to_vec().unwrap(),
        loss: loss.clone().into_scalar(),
        gradients: gradients(&network, loss),
    }
}

fn check_two_towers(name: &str, device: &Device, precision: Precision) {
    let golden: TwoTowers = golden("two_towers.json");
    let toml = include_str!("golden/two_towers.toml");
    let ours = found(toml, device, precision);
    let (forward, backward) = (bound(name, precision, PRODUCTS), bound(name, precision, 2 * PRODUCTS));
    let name = format!("{name}, {precision}");
    close(&format!("{name}: logits"), &ours.logits, &golden.logits, forward);
    let off = (ours.loss - golden.loss).abs();
    assert!(off <= forward * golden.loss, "{name}: loss {}, expected {}", ours.loss, golden.loss);
    assert_eq!(ours.gradients.len(), 2 * golden.parameters.len());
    if backward < 1e-3 {
        for (layer, parameter) in &golden.parameters {
            for (kind, expected) in
                [("weight", &parameter.weight_gradient), ("bias", &parameter.bias_gradient)]
            {
                let parameter = format!("{layer}.{kind}");
                close(&format!("{name}: {parameter}"), &ours.gradients[&parameter], expected, backward);
            }
        }
    } else {
        // With few bits another pixel may become a window's maximum, and the gradient goes elsewhere. So gradients are compared
        // where nothing is chosen, with those in f32, which are PyTorch's.
        let smooth = toml.replace("\"relu\"", "\"tanh\"").replace("max-pool", "avg-pool");
        let all = |precision| {
            let gradients = found(&smooth, device, precision).gradients;
            let sorted: BTreeMap<_, _> = gradients.into_iter().collect();
            sorted.into_values().flatten().collect::<Vec<f32>>()
        };
        let error = apart(&all(precision), &all(Precision::F32));
        println!("{name}: gradients: {error:.1e} of {backward:.1e}");
        assert!(error <= backward, "{name}: gradients are off by {error}");
    }
}

fn check_responses(name: &str, device: &Device) {
    let golden: Responses = golden("lrn.json");
    let device = device.clone().autodiff();
    let tensor =
        |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 7, 3, 2]), &device);
    for case in &golden.cases {
        // PyTorch's alpha multiplies the mean; the paper's, the sum.
        for (alpha, convention) in
            [(case.alpha, AlphaConvention::Mean), (case.alpha / case.size as f64, AlphaConvention::Sum)]
        {
            let config = Lrn { size: case.size, alpha, beta: case.beta, k: case.k, convention };
            let maps = tensor(&golden.maps).require_grad();
            let output = lrn(maps.clone(), &config);
            let what = format!("{name}: {config:?}");
            close(&what, &output.clone().into_data().try_to_vec::<f32>().unwrap(), &case.output, 1e-5);
            let gradients = (output * tensor(&golden.upstream)).sum().backward();
            let gradient = maps.grad(&gradients).unwrap();
            close(&what, &gradient.into_data().try_to_vec::<f32>().unwrap(), &case.gradient, 1e-5);
        }
    }
}

#[test]
fn weights_saved_by_pytorch_give_its_logits() {
    let golden: TwoTowers = golden("two_towers.json");
    let config: Network = toml::from_str(include_str!("golden/two_towers.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = repository("tests/golden");
    for (name, device) in devices() {
        let safe = folder.path().join("two_towers.safetensors");
        for file in [files.join("two_towers.pth"), files.join("two_towers-legacy.pth"), safe.clone()] {
            let network = Weights::read(&file).unwrap().network(&config, &device).unwrap();
            let images =
                Tensor::<4>::from_data(TensorData::new(golden.images.clone(), [3, 3, 13, 13]), &device);
            let logits = network.forward(images, Mode::Evaluation).into_data().try_to_vec::<f32>().unwrap();
            // As above.
            close(&format!("{name}: {}", file.display()), &logits, &golden.logits, tolerance(&name, 1e-4));
            let bytes = Weights::of(&network, Names::Ours).unwrap().to_bytes().unwrap();
            std::fs::write(&safe, bytes).unwrap();
        }
    }
}

/// A pickle is a program; ours is only read. A truncated one is an error, and a damaged one never a panic.
#[test]
fn truncated_pickles_are_errors_and_damaged_ones_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pth");
    let config: Network = toml::from_str(include_str!("golden/two_towers.toml")).unwrap();
    let device = devices()[0].1.clone();
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Weights::read(&path).and_then(|weights| weights.network(&config, &device)).map(drop)
    };
    for file in ["two_towers.pth", "two_towers-legacy.pth"] {
        let whole = std::fs::read(repository(&format!("tests/golden/{file}"))).unwrap();
        assert!(read(&whole).is_ok());
        for length in (0..whole.len()).step_by(61) {
            assert!(read(&whole[..length]).is_err(), "{file}: {length} bytes");
        }
        // A byte that is another: an error or other numbers, but it ends.
        for at in (0..whole.len()).step_by(23) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let _ = read(&damaged);
        }
    }
    // `os.system("exit 3")`, as a pickle would call it.
    let hostile = b"\x80\x02cos\nsystem\nq\x00X\x06\x00\x00\x00exit 3q\x01\x85q\x02Rq\x03.";
    let message = read(hostile).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn logits_and_gradients_are_pytorchs_on_every_backend() {
    for (name, device) in devices() {
        for precision in Precision::ALL.into_iter().filter(|precision| precision.is_on(&device)) {
            check_two_towers(&name, &device, precision);
        }
    }
}

#[test]
fn lrn_and_its_gradient_are_pytorchs_on_every_backend() {
    for (name, device) in devices() {
        check_responses(&name, &device);
    }
}

#[test]
fn dropout_scales_at_test_or_at_training_as_its_convention_says() {
    let toml = include_str!("golden/two_towers.toml");
    let paper: Network = toml::from_str(toml).unwrap();
    let inverted: Network = toml::from_str(&toml.replace("\"2012\"", "\"inverted\"")).unwrap();
    let device = devices()[0].1.clone();
    let images = Tensor::<4>::full([8, 3, 13, 13], 40.0, &device);
    let keys: Vec<alexnet_ops::Key> = (0..8).map(|sample| alexnet_ops::Key::new([1, 1, sample, 0])).collect();
    let logits = |network: &Network, mode| {
        let logits = network.init(5, &device).unwrap().forward(images.clone(), mode);
        logits.into_data().try_to_vec::<f32>().unwrap()
    };
    // The last layer has no bias at first, so its logits are proportional to its inputs.
    let half: Vec<f32> = logits(&inverted, Mode::Evaluation).iter().map(|logit| logit * 0.5).collect();
    close("evaluation", &logits(&paper, Mode::Evaluation), &half, 1e-6);
    let training = logits(&paper, Mode::Training(&keys));
    let half: Vec<f32> = logits(&inverted, Mode::Training(&keys)).iter().map(|logit| logit * 0.5).collect();
    close("training", &training, &half, 1e-6);
    assert_ne!(training[..4], training[4..8], "equal images drop different units");
}
