//! Decides which stages of a layer are computed together. The plan is made when a network is built. Both
//! plans of a network give the same bits; in bf16 on a processor, the same maps and not always the same gradients
//! (see [`Precision::Bf16`](alexnet_ops::Precision)).

use alexnet_ops::{Lrn, Pool};

use crate::config::{Activation, Network, Stage};

/// The work of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    /// The layer's products and biases, and what follows in the same sweep.
    Product {
        /// The ReLU.
        relu: bool,
        /// Then max pooling.
        pool: Option<Pool>,
        /// Then dropout, in training only.
        dropout: Option<f64>,
    },
    /// Local response normalization and the pooling of its output.
    LrnPool(Lrn, Pool),
    /// A single stage.
    Stage(Stage),
}

/// The steps of each layer.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) conv: Vec<Vec<Step>>,
    pub(crate) fc: Vec<Vec<Step>>,
}

/// A product with nothing after it.
const PRODUCT: Step = Step::Product { relu: false, pool: None, dropout: None };

impl Plan {
    /// Each stage is its own step, so that each can be observed.
    pub(crate) fn plain(network: &Network) -> Self {
        let steps = |stages: &[Stage]| {
            std::iter::once(PRODUCT).chain(stages.iter().map(|stage| Step::Stage(*stage))).collect()
        };
        Self {
            conv: network.conv.iter().map(|layer| steps(&layer.stages)).collect(),
            fc: network.fc.iter().map(|layer| steps(&layer.stages)).collect(),
        }
    }

    /// Uses as few operations as possible: intermediate results inside an operation are never written to
    /// memory.
    pub(crate) fn fused(network: &Network) -> Self {
        let relu = |own: Option<Activation>| own.unwrap_or(network.activation) == Activation::Relu;
        let conv = network.conv.iter().map(|layer| {
            let (relu, pool, mut rest) = match (relu(layer.activation), layer.shared, &*layer.stages) {
                (true, true, [Stage::Activation, Stage::MaxPool(pool), rest @ ..]) => {
                    (true, Some(*pool), rest)
                }
                // The ReLU keeps the order of values. It may as well come first: a maximum that it cuts passes no gradient on, and
                // any other is the maximum of its window before and after.
                (true, true, [Stage::MaxPool(pool), Stage::Activation, rest @ ..]) => {
                    (true, Some(*pool), rest)
                }
                (_, true, [Stage::MaxPool(pool), rest @ ..]) => (false, Some(*pool), rest),
                (true, _, [Stage::Activation, rest @ ..]) => (true, None, rest),
                (_, _, rest) => (false, None, rest),
            };
            let mut steps = vec![Step::Product { relu, pool, dropout: None }];
            while let [stage, after @ ..] = rest {
                let step;
                (step, rest) = match (stage, after) {
                    (Stage::Lrn(lrn), [Stage::MaxPool(pool), after @ ..]) => {
                        (Step::LrnPool(*lrn, *pool), after)
                    }
                    _ => (Step::Stage(*stage), after),
                };
                steps.push(step);
            }
            steps
        });
        let fc = network.fc.iter().map(|layer| {
            let relu = relu(layer.activation) && layer.stages.first() == Some(&Stage::Activation);
            let (dropout, rest) = match &layer.stages[usize::from(relu)..] {
                [Stage::Dropout(drop), rest @ ..] if relu => (Some(*drop), rest),
                rest => (None, rest),
            };
            let product = Step::Product { relu, pool: None, dropout };
            std::iter::once(product).chain(rest.iter().map(|stage| Step::Stage(*stage))).collect()
        });
        Self { conv: conv.collect(), fc: fc.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preset;

    #[test]
    fn a_fused_plan_has_every_stage_once_and_in_order() {
        for preset in Preset::ALL {
            let network = Preset::load(preset.name).unwrap();
            let (plain, fused) = (Plan::plain(&network), Plan::fused(&network));
            let stages = |steps: &[Step]| -> Vec<Stage> {
                let stages = steps.iter().flat_map(|step| match *step {
                    Step::Product { relu, pool, dropout } => [
                        relu.then_some(Stage::Activation),
                        pool.map(Stage::MaxPool),
                        dropout.map(Stage::Dropout),
                    ],
                    Step::LrnPool(lrn, pool) => [Some(Stage::Lrn(lrn)), Some(Stage::MaxPool(pool)), None],
                    Step::Stage(stage) => [Some(stage), None, None],
                });
                stages.flatten().collect()
            };
            for (plain, fused) in plain.conv.iter().chain(&plain.fc).zip(fused.conv.iter().chain(&fused.fc)) {
                let (mut plain, fused) = (stages(plain), stages(fused));
                // A ReLU may come before the pooling instead of after it.
                if let (
                    [Stage::MaxPool(_), Stage::Activation, ..],
                    [Stage::Activation, Stage::MaxPool(_), ..],
                ) = (&*plain, &*fused)
                {
                    plain.swap(0, 1);
                }
                assert_eq!(plain, fused, "{}", preset.name);
            }
        }
        let network = Preset::load("alexnet-2012").unwrap();
        assert_eq!(Plan::fused(&network).conv[0].len(), 2, "convolution with ReLU, LRN with pooling");
    }
}
