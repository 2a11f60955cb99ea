//! Gradients before they change a weight: checks that they are finite, and limits their norm.

use alexnet_ops::FiniteCheck;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::classifier::{Classifier, to_host};

/// Returns a layer whose gradient is not finite, if there is one.
///
/// Reads each gradient once, on its device. Only one number per device is copied back.
pub(crate) fn non_finite(model: &Classifier, gradients: &GradientsParams) -> Option<String> {
    let mut check = Check { gradients, finite: FiniteCheck::default() };
    model.visit(&mut check);
    if check.finite.passes() {
        return None;
    }
    // The sum of finite numbers can overflow, so the values themselves are checked.
    let mut search = Search { gradients, path: Vec::new(), found: None };
    model.visit(&mut search);
    let path = search.found?;
    let network = model.network().network();
    let layer = match path.as_slice() {
        [_, list, index, ..] => index.parse::<usize>().ok().and_then(|index| match list.as_str() {
            "conv" => network.conv.get(index).map(|layer| layer.name.clone()),
            _ => network.fc.get(index).map(|layer| layer.name.clone()),
        }),
        _ => None,
    };
    Some(layer.unwrap_or_else(|| path.join(".")))
}

/// Scales all gradients by the same factor if their norm, taken together, is above `norm`. The sum is computed on the host, in the
/// order of the parameters.
pub(crate) fn clipped(model: &Classifier, gradients: GradientsParams, norm: f64) -> GradientsParams {
    let mut squares = Squares { gradients: &gradients, sum: 0.0 };
    model.visit(&mut squares);
    let found = squares.sum.sqrt();
    if found <= norm {
        return gradients;
    }
    let mut scaled = Scaled { gradients: &gradients, factor: norm / found, scaled: GradientsParams::new() };
    model.visit(&mut scaled);
    scaled.scaled
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum += to_host(gradient).iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        }
    }
}

struct Scaled<'a> {
    gradients: &'a GradientsParams,
    factor: f64,
    scaled: GradientsParams,
}

impl ModuleVisitor for Scaled<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.scaled.register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}

struct Check<'a> {
    gradients: &'a GradientsParams,
    finite: FiniteCheck,
}

impl ModuleVisitor for Check<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.finite.add(gradient);
        }
    }
}

struct Search<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    found: Option<Vec<String>>,
}

impl ModuleVisitor for Search<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_none()
            && let Some(gradient) = self.gradients.get::<D>(param.id)
            && to_host(gradient).iter().any(|value| !value.is_finite())
        {
            self.found = Some(self.path.clone());
        }
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets every gradient to `value`, except the first parameter with `dimensions`, which gets `other`.
    struct Fill {
        gradients: GradientsParams,
        value: f32,
        other: f32,
        dimensions: usize,
    }

    impl ModuleVisitor for Fill {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = if D == self.dimensions {
                self.dimensions = 0;
                self.other
            } else {
                self.value
            };
            self.gradients.register(param.id, param.val().inner().zeros_like().add_scalar(value));
        }
    }

    #[test]
    fn the_layer_of_a_gradient_that_is_not_finite_is_named() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let preset = alexnet_model::Preset::ALL.iter().find(|preset| preset.name == "mini").unwrap();
        let model = Classifier::new(&toml::from_str(preset.toml).unwrap(), 0, &device).unwrap();
        // Four dimensions: kernels, the first of which is conv1's. Two: the matrix of the first fully
        // connected layer.
        for (value, other, dimensions, expected) in [
            (1.0, f32::NAN, 4, Some("conv1")),
            (1.0, f32::NEG_INFINITY, 2, Some("fc6")),
            (0.5, 0.5, 4, None),
            // Every value is finite, but the sum is infinite.
            (f32::MAX, f32::MAX, 4, None),
        ] {
            let mut fill = Fill { gradients: GradientsParams::new(), value, other, dimensions };
            model.visit(&mut fill);
            let found = non_finite(&model, &fill.gradients);
            assert_eq!(found.as_deref(), expected, "{value} and {other}");
        }
    }

    #[test]
    fn gradients_are_scaled_to_the_norm_and_only_then() {
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let model = Classifier::new(&alexnet_model::Preset::load("mini").unwrap(), 0, &device).unwrap();
        let filled = || {
            let mut fill = Fill { gradients: GradientsParams::new(), value: 0.5, other: 0.5, dimensions: 4 };
            model.visit(&mut fill);
            fill.gradients
        };
        let norm_of = |gradients: &GradientsParams| {
            let mut squares = Squares { gradients, sum: 0.0 };
            model.visit(&mut squares);
            squares.sum.sqrt()
        };
        let whole = norm_of(&filled());
        assert!((norm_of(&clipped(&model, filled(), 0.25 * whole)) / whole - 0.25).abs() < 1e-6);
        assert_eq!(norm_of(&clipped(&model, filled(), 2.0 * whole)), whole);
    }
}
