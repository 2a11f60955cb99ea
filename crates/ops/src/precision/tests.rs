use burn::tensor::{Device, Tensor};

use super::Precision;
use crate::testing::{assert_close, device, devices, distance, numbers, with_gradients};
use crate::{Conv2d, ConvMethod, DropoutMask, Finish, Implementation, Key, Padding, Pool, Rounding};

/// The layers whose products have a precision: shapes of the input, the weights and the bias, and the layer.
type Layer = (&'static str, [[usize; 4]; 3], fn(Precision, &[Tensor<4>]) -> Tensor<4>);

const LAYERS: [Layer; 4] = [
    ("conv", [[9, 4, 10, 8], [6, 4, 3, 3], [1, 6, 1, 1]], |precision, x| {
        conv(precision, x, Conv2d { padding: Padding { top: 0, left: 1, bottom: 2, right: 0 }, ..CONV })
    }),
    ("conv of two groups, stride 2", [[3, 6, 9, 11], [8, 3, 5, 5], [1, 8, 1, 1]], |precision, x| {
        conv(precision, x, Conv2d { stride: 2, padding: Padding::same(2), groups: 2, ..CONV })
    }),
    ("local", [[5, 2, 6, 5], [3, 2, 9, 12], [1, 36, 1, 1]], |precision, x| {
        let (maps, weight, bias) = (x[0].clone(), x[1].clone(), bias(&x[2]));
        precision.locally_connected2d(Implementation::Fast, maps, weight, bias, 3, CONV)
    }),
    ("linear", LINEAR, |precision, x| linear(precision, x, Finish::Plain)),
];

/// Those that choose between values: rounding may change the choice, and with it a gradient.
const CHOOSING: [Layer; 2] = [
    ("conv, pooled", [[9, 3, 11, 11], [5, 3, 3, 3], [1, 5, 1, 1]], |precision, x| {
        let (maps, weight, bias) = (x[0].clone(), x[1].clone(), bias(&x[2]));
        let pool = Pool { size: 3, stride: 2, padding: 0, rounding: Rounding::Floor };
        let options = Conv2d { relu: true, ..CONV };
        precision.conv_max_pool2d(Implementation::Fast, maps, weight, bias, options, &pool)
    }),
    ("linear, rectified and dropped", LINEAR, |precision, x| {
        let keys: Vec<Key> = (0..9).map(|sample| Key::new([7, 1, sample, 0])).collect();
        linear(precision, x, Finish::ReluDropout(DropoutMask::draw(&keys, "fc6", 37, 0.4, 1.5)))
    }),
];

const LINEAR: [[usize; 4]; 3] = [[9, 2, 5, 4], [1, 1, 40, 37], [1, 37, 1, 1]];

fn linear(precision: Precision, x: &[Tensor<4>], finish: Finish) -> Tensor<4> {
    let (features, weight) = (x[0].clone().flatten(1, 3), x[1].clone().reshape([40, 37]));
    let out = precision.linear(Implementation::Fast, features, weight, bias(&x[2]), finish);
    out.reshape([9, 37, 1, 1])
}

const CONV: Conv2d = Conv2d {
    stride: 1,
    padding: Padding { top: 0, left: 0, bottom: 0, right: 0 },
    groups: 1,
    relu: false,
    method: ConvMethod::Direct,
};

fn conv(precision: Precision, x: &[Tensor<4>], options: Conv2d) -> Tensor<4> {
    precision.conv2d(Implementation::Fast, x[0].clone(), x[1].clone(), bias(&x[2]), options)
}

fn bias(of: &Tensor<4>) -> Tensor<1> {
    let [_, units, _, _] = of.dims();
    of.clone().reshape([units])
}

fn inputs(shapes: [[usize; 4]; 3]) -> [(Vec<f32>, [usize; 4]); 3] {
    shapes.map(|shape| (numbers(shape.iter().product(), shape.iter().sum::<usize>() as u64), shape))
}

/// The output of a layer and its gradients, on the processor.
fn results((_, shapes, layer): Layer, precision: Precision) -> Vec<Vec<f32>> {
    with_gradients(inputs(shapes), |x| layer(precision, x))
}

#[test]
fn processors_multiply_f32_as_they_always_do() {
    for layer in LAYERS.into_iter().chain(CHOOSING) {
        assert!(results(layer, Precision::F32) == results(layer, Precision::Device), "{}", layer.0);
    }
}

/// bfloat16 has 8 bits: each factor is off by up to 2^-8 of itself, and so is each result. The errors of a sum's terms and of the
/// three roundings are independent, so the norm of a result is off by less than √3 · 2^-8.
#[test]
fn bf16_rounds_factors_and_results_to_eight_bits() {
    for (layer, gradients) in LAYERS.map(|it| (it, true)).into_iter().chain(CHOOSING.map(|it| (it, false))) {
        let (ours, exact) = (results(layer, Precision::Bf16), results(layer, Precision::F32));
        let compared = if gradients { 4 } else { 1 };
        let distance = distance(&ours[..compared], &exact[..compared]);
        println!("{}: {distance:.1e}", layer.0);
        let bound = 3f64.sqrt() * 2f64.powi(-8);
        assert!((bound / 8.0..bound).contains(&distance), "{}: {distance}", layer.0);
        // The output and the gradients of the input and the weights have no more bits; that of the bias is no product.
        for values in &ours[..3] {
            assert!(values.iter().all(|value| value.to_bits() & 0xffff == 0), "{}", layer.0);
        }
    }
}

#[test]
fn a_device_without_a_precision_says_which_it_has() {
    let flex = device();
    for precision in [Precision::Device, Precision::F32, Precision::Bf16] {
        assert_eq!(precision.check(&flex), Ok(()));
    }
    let error = Precision::Tf32.check(&flex).unwrap_err().to_string();
    assert_eq!(error, "this device has no tf32; it has `device`, `f32`, `bf16`");
    for device in devices() {
        assert!(Precision::F32.is_on(&device) && Precision::Device.is_on(&device), "{device:?}");
    }
}

/// The products that take the place of TF32's, where there is no TF32.
#[cfg(feature = "gpu")]
mod gpu {
    use super::*;
    use crate::Backend;
    use crate::precision::exact;
    use crate::testing::{ROUNDING, with_gradients_on};

    fn gpus() -> Vec<Device> {
        let backends = Backend::in_this_build().into_iter().filter(|backend| !backend.is_processor());
        backends.filter_map(|backend| backend.device().ok()).collect()
    }

    /// Compares a product with what Flex makes of the same layer without a bias.
    fn compare(
        what: &str,
        shapes: [[usize; 4]; 2],
        ours: impl Fn(&[Tensor<4>]) -> Tensor<4>,
        flex: impl Fn(&[Tensor<4>]) -> Tensor<4>,
    ) {
        let inputs = || {
            let of = |shape: [usize; 4]| numbers(shape.iter().product(), shape.iter().sum::<usize>() as u64);
            shapes.map(|shape| (of(shape), shape))
        };
        let expected = with_gradients(inputs(), flex);
        for device in gpus() {
            let distance = distance(&with_gradients_on(&device, inputs(), &ours), &expected);
            println!("{what}: {distance:.1e}");
            assert!(distance <= ROUNDING, "{what} on {device:?}: {distance}");
        }
    }

    fn zeros(count: usize, like: &Tensor<4>) -> Tensor<1> {
        Tensor::zeros([count], &like.device())
    }

    #[test]
    fn convolutions_from_patches() {
        for ([maps, weight], stride, padding, groups) in [
            ([[9, 4, 10, 8], [6, 4, 3, 3]], 1, Padding { top: 0, left: 1, bottom: 2, right: 0 }, 1),
            ([[3, 6, 9, 11], [8, 3, 5, 5]], 2, Padding::same(2), 2),
            ([[2, 3, 23, 23], [7, 3, 11, 11]], 4, Padding { top: 0, left: 0, bottom: 2, right: 1 }, 1),
            // So many pixels that their sum has parts.
            ([[8, 2, 32, 32], [16, 2, 3, 3]], 1, Padding::same(1), 1),
            ([[1, 1, 1, 1], [1, 1, 1, 1]], 1, Padding::same(0), 1),
        ] {
            let options = Conv2d { stride, padding, groups, ..CONV };
            compare(
                &format!("{maps:?} * {weight:?}"),
                [maps, weight],
                |x| exact::convolution(x[0].clone(), x[1].clone(), options),
                |x| crate::conv2d(x[0].clone(), x[1].clone(), zeros(weight[0], &x[0]), options),
            );
        }
    }

    #[test]
    fn locally_connected_layers_from_patches() {
        compare(
            "local",
            [[5, 2, 6, 5], [3, 2, 9, 12]],
            |x| exact::local(x[0].clone(), x[1].clone(), 3, CONV),
            |x| crate::locally_connected2d(x[0].clone(), x[1].clone(), zeros(36, &x[0]), 3, CONV),
        );
    }

    #[test]
    fn matrices() {
        for [rows, inner, columns] in [[9, 40, 37], [1, 64, 10], [70, 300, 1], [128, 129, 130], [1, 1, 5]] {
            let reshaped = |out: Tensor<2>| out.reshape([rows, columns, 1, 1]);
            let sides = move |x: &[Tensor<4>]| {
                (x[0].clone().reshape([rows, inner]), x[1].clone().reshape([inner, columns]))
            };
            compare(
                &format!("{rows} × {inner} × {columns}"),
                [[rows, inner, 1, 1], [inner, columns, 1, 1]],
                |x| reshaped(exact::matrix(sides(x).0, sides(x).1)),
                |x| {
                    let bias = zeros(columns, &x[0]);
                    reshaped(crate::linear(sides(x).0, sides(x).1, bias, Finish::Plain))
                },
            );
        }
    }

    /// With a bias and the steps after it, in f32: what a network runs where there is TF32.
    #[test]
    fn layers_with_their_last_steps() {
        use crate::precision::replaced::Replaced;
        for operations in [Implementation::Fast, Implementation::Composed] {
            for relu in [false, true] {
                let options = Conv2d { relu, padding: Padding::same(1), ..CONV };
                let (_, shapes, _) = LAYERS[0];
                let flex = with_gradients(inputs(shapes), |x| conv(Precision::Device, x, options));
                for device in gpus() {
                    let ours = with_gradients_on(&device, inputs(shapes), |x| {
                        let (maps, weight) = (x[0].clone(), x[1].clone());
                        Replaced::Exact.conv2d(operations, maps, weight, bias(&x[2]), options)
                    });
                    assert_close(&ours, &flex);
                }
            }
        }
    }
}
