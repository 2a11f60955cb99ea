//! The kernels under automatic differentiation: the state each keeps for its gradients, and the gradients.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, TensorMetadata};

use super::Kernels;
use crate::config::{Conv2d, Finish, Lrn, Pool};

#[derive(Debug)]
struct Convolve;

impl<B: Kernels> Backward<B, 3> for Convolve {
    /// The maps, the weights and, where the ReLU needs them, the outputs.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>, Conv2d);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_maps, to_weight, to_bias] = ops.parents;
        let (maps, weight, outputs, how) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(outputs) = outputs {
            gradient = B::rectify_gradient(gradient, outputs, 1.0);
        }
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::convolve_gradient_bias(gradient.clone()));
        }
        // The images need no gradient, and the first layer's input gradient would be the most expensive part.
        if let Some(node) = to_maps {
            let (shape, weight) = (maps.shape().dims(), weight.clone());
            let to_maps = B::convolve_gradient_maps(gradient.clone(), weight, shape, how);
            gradients.register::<B>(node.id, to_maps);
        }
        if let Some(node) = to_weight {
            let shape = weight.shape().dims();
            gradients.register::<B>(node.id, B::convolve_gradient_weight(gradient, maps, shape, how));
        }
    }
}

#[derive(Debug)]
struct ConvolvePool;

impl<B: Kernels> Backward<B, 3> for ConvolvePool {
    /// The maps, the weights, the positions of the maxima and, where the ReLU needs them, the maxima.
    type State = (FloatTensor<B>, FloatTensor<B>, IntTensor<B>, Option<FloatTensor<B>>, Conv2d, Pool);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_maps, to_weight, to_bias] = ops.parents;
        let (maps, weight, places, maxima, how, pool) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(maxima) = maxima {
            // Where the ReLU cut a window's maximum to zero, it also cut every pixel the gradient could
            // reach.
            gradient = B::rectify_gradient(gradient, maxima, 1.0);
        }
        if let Some(node) = to_bias {
            // Each maximum's gradient goes to one pixel, so the sums over maxima and over pixels are equal.
            gradients.register::<B>(node.id, B::convolve_gradient_bias(gradient.clone()));
        }
        if let Some(node) = to_maps {
            let (shape, weight) = (maps.shape().dims(), weight.clone());
            let (gradient, places) = (gradient.clone(), places.clone());
            let to_maps = B::convolve_pool_gradient_maps(gradient, places, weight, shape, how, pool);
            gradients.register::<B>(node.id, to_maps);
        }
        if let Some(node) = to_weight {
            let shape = weight.shape().dims();
            let to_weight = B::convolve_pool_gradient_weight(gradient, places, maps, shape, how, pool);
            gradients.register::<B>(node.id, to_weight);
        }
    }
}

#[derive(Debug)]
struct Connect;

impl<B: Kernels> Backward<B, 3> for Connect {
    /// The units, the weights and, where the ReLU needs them, the outputs.
    type State = (FloatTensor<B>, FloatTensor<B>, Option<FloatTensor<B>>, Finish);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [to_units, to_weight, to_bias] = ops.parents;
        let (units, weight, outputs, finish) = ops.state;
        let mut gradient = gradients.consume::<B>(&ops.node);
        if let Some(outputs) = outputs {
            gradient = B::rectify_gradient(gradient, outputs, finish.gain());
        }
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::connect_gradient_bias(gradient.clone()));
        }
        if let Some(node) = to_units {
            gradients.register::<B>(node.id, B::connect_gradient_units(gradient.clone(), weight));
        }
        if let Some(node) = to_weight {
            gradients.register::<B>(node.id, B::connect_gradient_weight(gradient, units));
        }
    }
}

#[derive(Debug)]
struct NormalizeMaps;

impl<B: Kernels> Backward<B, 1> for NormalizeMaps {
    type State = (FloatTensor<B>, Lrn);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (maps, lrn)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::normalize_maps_gradient(gradient, maps, lrn));
        }
    }
}

#[derive(Debug)]
struct AveragePool;

impl<B: Kernels> Backward<B, 1> for AveragePool {
    type State = ([usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (shape, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::average_gradient(gradient, shape, pool));
        }
    }
}

#[derive(Debug)]
struct MaxPool;

impl<B: Kernels> Backward<B, 1> for MaxPool {
    type State = (IntTensor<B>, [usize; 4], Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (places, shape, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            gradients.register::<B>(node.id, B::pool_gradient(gradient, places, shape, pool));
        }
    }
}

#[derive(Debug)]
struct NormalizePool;

impl<B: Kernels> Backward<B, 1> for NormalizePool {
    type State = (FloatTensor<B>, IntTensor<B>, Lrn, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let ([to_maps], (maps, places, lrn, pool)) = (ops.parents, ops.state);
        if let Some(node) = to_maps {
            let to_maps = B::normalize_pool_gradient(gradient, maps, places, lrn, pool);
            gradients.register::<B>(node.id, to_maps);
        }
    }
}

#[derive(Debug)]
struct Tanh;

impl<B: Kernels> Backward<B, 1> for Tanh {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::hyperbolic_tangent_gradient(gradient, ops.state));
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn convolve(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: Conv2d,
    ) -> FloatTensor<Self> {
        let nodes = [maps.node(), weight.node(), bias.node()];
        let prepared = Convolve.prepare::<C>(nodes).compute_bound().stateful();
        let (maps, weight) = (maps.into_primitive(), weight.into_primitive());
        let out = B::convolve(maps.clone(), weight.clone(), bias.into_primitive(), how);
        match prepared {
            OpsKind::Tracked(prepared) => {
                let outputs = how.relu.then(|| out.clone());
                prepared.finish((maps, weight, outputs, how), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn convolve_pool(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        how: Conv2d,
        pool: Pool,
    ) -> (FloatTensor<Self>, IntTensor<Self>) {
        let nodes = [maps.node(), weight.node(), bias.node()];
        let prepared = ConvolvePool.prepare::<C>(nodes).compute_bound().stateful();
        let (maps, weight) = (maps.into_primitive(), weight.into_primitive());
        let (maxima, places) =
            B::convolve_pool(maps.clone(), weight.clone(), bias.into_primitive(), how, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => {
                let kept = how.relu.then(|| maxima.clone());
                prepared.finish((maps, weight, places.clone(), kept, how, pool), maxima)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, places)
    }

    fn connect(
        units: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        finish: Finish,
    ) -> FloatTensor<Self> {
        let nodes = [units.node(), weight.node(), bias.node()];
        let prepared = Connect.prepare::<C>(nodes).compute_bound().stateful();
        let (units, weight) = (units.into_primitive(), weight.into_primitive());
        let out = B::connect(units.clone(), weight.clone(), bias.into_primitive(), finish.clone());
        match prepared {
            OpsKind::Tracked(prepared) => {
                let outputs = (!matches!(finish, Finish::Plain)).then(|| out.clone());
                prepared.finish((units, weight, outputs, finish), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn normalize_maps(maps: FloatTensor<Self>, lrn: Lrn) -> FloatTensor<Self> {
        let prepared = NormalizeMaps.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let out = B::normalize_maps(maps.clone(), lrn);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((maps, lrn), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn average(maps: FloatTensor<Self>, pool: Pool) -> FloatTensor<Self> {
        let prepared = AveragePool.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let shape = maps.shape().dims();
        let out = B::average(maps, pool);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((shape, pool), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn pool(maps: FloatTensor<Self>, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = MaxPool.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let shape = maps.shape().dims();
        let (maxima, places) = B::pool(maps, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((places.clone(), shape, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, places)
    }

    fn normalize_pool(maps: FloatTensor<Self>, lrn: Lrn, pool: Pool) -> (FloatTensor<Self>, IntTensor<Self>) {
        let prepared = NormalizePool.prepare::<C>([maps.node()]).compute_bound().stateful();
        let maps = maps.into_primitive();
        let (maxima, places) = B::normalize_pool(maps.clone(), lrn, pool);
        let maxima = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((maps, places.clone(), lrn, pool), maxima),
            OpsKind::UnTracked(prepared) => prepared.finish(maxima),
        };
        (maxima, places)
    }

    fn hyperbolic_tangent(values: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = Tanh.prepare::<C>([values.node()]).compute_bound().stateful();
        let out = B::hyperbolic_tangent(values.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(out.clone(), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
