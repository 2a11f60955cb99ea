#![allow(clippy::print_stdout)] // what was measured, with `--nocapture`

use burn::tensor::{Device, Tensor};

use super::Precision;
#[cfg(feature = "gpu")]
use super::replaced::Replaced;
use crate::testing::{device, devices, distance, numbers, with_gradients_on};
use crate::{Conv2d, ConvMethod, DropoutMask, Finish, Implementation, Key, Padding, Pool, Rounding};

/// The way in which a layer is computed.
#[derive(Clone, Copy)]
enum Way {
    As(Precision),
    /// With the products that some device needs, whether this one does or not.
    #[cfg(feature = "gpu")]
    By(Replaced, Implementation),
}

const FAST: Implementation = Implementation::Fast;

impl Way {
    fn conv2d(self, x: &[Tensor<4>], options: Conv2d) -> Tensor<4> {
        let (maps, weight, bias) = (x[0].clone(), x[1].clone(), bias(&x[2]));
        match self {
            Self::As(precision) => precision.conv2d(FAST, maps, weight, bias, options),
            #[cfg(feature = "gpu")]
            Self::By(products, form) => products.conv2d(form, maps, weight, bias, options),
        }
    }

    fn conv_max_pool2d(self, x: &[Tensor<4>], options: Conv2d, pool: &Pool) -> Tensor<4> {
        match self {
            Self::As(precision) => {
                let (maps, weight, bias) = (x[0].clone(), x[1].clone(), bias(&x[2]));
                precision.conv_max_pool2d(FAST, maps, weight, bias, options, pool)
            }
            #[cfg(feature = "gpu")]
            Self::By(_, form) => form.max_pool2d(self.conv2d(x, options), pool),
        }
    }

    fn local(self, x: &[Tensor<4>], options: Conv2d) -> Tensor<4> {
        let (maps, weight, bias) = (x[0].clone(), x[1].clone(), bias(&x[2]));
        match self {
            Self::As(precision) => precision.locally_connected2d(FAST, maps, weight, bias, 3, options),
            #[cfg(feature = "gpu")]
            Self::By(products, _) => products.locally_connected2d(maps, weight, bias, 3, options),
        }
    }

    fn linear(self, x: &[Tensor<4>], finish: Finish) -> Tensor<4> {
        let (features, weight) = (x[0].clone().flatten(1, 3), x[1].clone().flatten(0, 2));
        let out = match self {
            Self::As(precision) => precision.linear(FAST, features, weight, bias(&x[2]), finish),
            #[cfg(feature = "gpu")]
            Self::By(products, form) => products.linear(form, features, weight, bias(&x[2]), finish),
        };
        let [samples, units] = out.dims();
        out.reshape([samples, units, 1, 1])
    }
}

/// A layer whose products have a precision: its name, the shapes of the input, the weights and the bias, and what it does.
type Layer = (&'static str, [[usize; 4]; 3], fn(Way, &[Tensor<4>]) -> Tensor<4>);

const CONV: Conv2d = Conv2d {
    stride: 1,
    padding: Padding { top: 0, left: 0, bottom: 0, right: 0 },
    groups: 1,
    relu: false,
    method: ConvMethod::Direct,
};

const LAYERS: [Layer; 8] = [
    ("conv", [[9, 4, 10, 8], [6, 4, 3, 3], [1, 6, 1, 1]], |way, x| {
        way.conv2d(x, Conv2d { padding: Padding { top: 0, left: 1, bottom: 2, right: 0 }, ..CONV })
    }),
    ("conv of two groups, stride 2", [[3, 6, 9, 11], [8, 3, 5, 5], [1, 8, 1, 1]], |way, x| {
        way.conv2d(
            x,
            Conv2d {
                stride: 2,
                padding: Padding { top: 2, left: 2, bottom: 2, right: 2 },
                groups: 2,
                ..CONV
            },
        )
    }),
    ("conv, stride 4", [[2, 3, 23, 23], [7, 3, 11, 11], [1, 7, 1, 1]], |way, x| {
        way.conv2d(x, Conv2d { stride: 4, padding: Padding { top: 0, left: 0, bottom: 2, right: 1 }, ..CONV })
    }),
    // So many pixels that the weights' gradient is added up in parts.
    ("conv, large", [[8, 2, 32, 32], [16, 2, 3, 3], [1, 16, 1, 1]], |way, x| way.conv2d(x, CONV)),
    ("conv of one pixel", [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], |way, x| way.conv2d(x, CONV)),
    ("local", [[5, 2, 6, 5], [3, 2, 9, 12], [1, 36, 1, 1]], |way, x| way.local(x, CONV)),
    ("linear", [[9, 2, 5, 4], [1, 1, 40, 37], [1, 37, 1, 1]], |way, x| way.linear(x, Finish::Plain)),
    ("linear of one sample", [[1, 64, 1, 1], [1, 1, 64, 10], [1, 10, 1, 1]], |way, x| {
        way.linear(x, Finish::Plain)
    }),
];

/// Layers that choose between values: rounding may change the choice, and with it a gradient.
const CHOOSING: [Layer; 3] = [
    ("conv, pooled", [[9, 3, 11, 11], [5, 3, 3, 3], [1, 5, 1, 1]], |way, x| {
        let pool = Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Floor };
        way.conv_max_pool2d(x, Conv2d { relu: true, ..CONV }, &pool)
    }),
    ("local, rectified", [[5, 2, 6, 5], [3, 2, 9, 12], [1, 36, 1, 1]], |way, x| {
        way.local(x, Conv2d { relu: true, ..CONV })
    }),
    ("linear, rectified and dropped", [[9, 2, 5, 4], [1, 1, 40, 37], [1, 37, 1, 1]], |way, x| {
        let keys: Vec<Key> = (0..9).map(|sample| Key::new([7, 1, sample, 0])).collect();
        way.linear(x, Finish::ReluDropout(DropoutMask::draw(&keys, "fc6", 37, 0.4, 1.5)))
    }),
];

fn bias(of: &Tensor<4>) -> Tensor<1> {
    let [_, units, _, _] = of.dims();
    of.clone().reshape([units])
}

/// The output of a layer and its gradients.
fn results((_, shapes, layer): Layer, way: Way, device: &Device) -> Vec<Vec<f32>> {
    let numbers = |shape: [usize; 4]| numbers(shape.iter().product(), shape.iter().sum::<usize>() as u64);
    with_gradients_on(device, shapes.map(|shape| (numbers(shape), shape)), |x| layer(way, x))
}

#[test]
fn processors_multiply_f32_as_they_always_do() {
    for layer in LAYERS.into_iter().chain(CHOOSING) {
        let of = |precision| results(layer, Way::As(precision), &device());
        assert!(of(Precision::F32) == of(Precision::Device), "{}", layer.0);
    }
}

/// bfloat16 has 8 bits: each factor is off by up to 2^-8 of itself, and so is each result. The errors of a sum's terms and of the
/// three roundings are independent, so the norm of a result is off by less than √3 · 2^-8.
fn check_bf16(way: Way) {
    for (layer, gradients) in LAYERS.map(|it| (it, true)).into_iter().chain(CHOOSING.map(|it| (it, false))) {
        let exact = results(layer, Way::As(Precision::F32), &device());
        let ours = results(layer, way, &device());
        let compared = if gradients { 4 } else { 1 };
        let distance = distance(&ours[..compared], &exact[..compared]);
        println!("{}: {distance:.1e}", layer.0);
        let bound = 3f64.sqrt() * 2f64.powi(-8);
        assert!((bound / 8.0..bound).contains(&distance), "{}: {distance}", layer.0);
        // Gradients of products have no more bits than the products.
        for values in &ours[1..3] {
            assert!(values.iter().all(|value| value.to_bits() & 0xffff == 0), "{}", layer.0);
        }
    }
}

#[test]
fn bf16_rounds_factors_and_results_to_eight_bits() {
    check_bf16(Way::As(Precision::Bf16));
}

#[test]
fn a_device_without_a_precision_says_which_it_has() {
    let flex = device();
    for precision in [Precision::Device, Precision::F32, Precision::Bf16] {
        assert_eq!(precision.check(&flex), Ok(()));
    }
    let error = Precision::Tf32.check(&flex).unwrap_err().to_string();
    assert_eq!(error, "this device does not multiply in `tf32`; choose one of `device`, `f32`, `bf16`");
    for device in devices() {
        assert!(Precision::F32.is_on(&device) && Precision::Device.is_on(&device), "{device:?}");
    }
}

/// The products that replace TF32's where there is TF32, on the GPUs here, which may have none.
#[cfg(feature = "gpu")]
#[test]
fn products_without_tensor_cores_are_those_of_flex() {
    use crate::testing::ROUNDING;
    let backends = crate::Backend::in_this_build().into_iter().filter(|backend| !backend.is_processor());
    for gpu in backends.filter_map(|backend| backend.device().ok()) {
        for layer in LAYERS.into_iter().chain(CHOOSING) {
            let flex = results(layer, Way::As(Precision::Device), &device());
            for form in [Implementation::Fast, Implementation::Composed] {
                let distance = distance(&results(layer, Way::By(Replaced::Exact, form), &gpu), &flex);
                println!("{}, {form}: {distance:.1e}", layer.0);
                assert!(distance <= ROUNDING, "{}, {form}, on {gpu:?}: {distance}", layer.0);
            }
        }
    }
}

/// The products of GPUs that have bfloat16, by the operations of Burn that they use, on Flex.
#[cfg(feature = "gpu")]
#[test]
fn products_of_gpus_in_bf16_round_to_eight_bits() {
    check_bf16(Way::By(Replaced::Bf16, Implementation::Composed));
}
