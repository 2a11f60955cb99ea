//! The updates of many parameters in CubeCL, in one launch.

use burn::backend::TensorMetadata;
use burn::backend::{Backend, Dispatch, DispatchTensor, backend_extension};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::config::SgdStep;
use crate::gpu::rows::{Rows, channels_first};
use crate::gpu::tensors::{Parts, Tensors, of_a_launch};

/// The operation. It has no gradient, so automatic differentiation does not implement it.
#[backend_extension(Cube, Fusion)]
trait SgdKernels: Backend {
    /// Returns the new weights and velocities.
    #[fusion(meta = |weights, gradients, velocities, steps| {
        crate::gpu::shapes::stepped(weights, gradients, velocities, steps)
    })]
    fn sgd_update(
        #[extension_type] weights: Tensors<Self>,
        #[extension_type] gradients: Tensors<Self>,
        #[extension_type] velocities: Tensors<Self>,
        steps: Vec<SgdStep>,
    ) -> (Tensors<Self>, Tensors<Self>);
}

/// Updates parameters of one device: `[weight, gradient, velocity]` each. Returns `[weight, velocity]`.
pub(super) fn update_all(parameters: Vec<([DispatchTensor; 3], SgdStep)>) -> Vec<[DispatchTensor; 2]> {
    let [mut weights, mut gradients, mut velocities] = [const { Vec::new() }; 3];
    let mut steps = Vec::new();
    for ([weight, gradient, velocity], step) in parameters {
        weights.push(weight);
        gradients.push(gradient);
        velocities.push(velocity);
        steps.push(step);
    }
    let (weights, velocities) = <Dispatch as SgdKernels>::sgd_update(
        Tensors(weights),
        Tensors(gradients),
        Tensors(velocities),
        steps,
    );
    weights.0.into_iter().zip(velocities.0).map(|(weight, velocity)| [weight, velocity]).collect()
}

/// A parameter. The cubes from `first` on have its values, one a unit.
#[derive(CubeType, CubeLaunch)]
struct Parameter {
    weight: Box<[f32]>,
    gradient: Box<[f32]>,
    velocity: Box<[f32]>,
    new_weight: Box<[f32]>,
    new_velocity: Box<[f32]>,
    first: usize,
    rate: f32,
    decay: f32,
    momentum: f32,
}

#[cube(launch)]
fn update(parameters: &mut Sequence<Parameter>) {
    #[unroll]
    for number in 0..parameters.len() {
        let parameter = parameters.index_mut(number);
        if CUBE_POS >= parameter.first {
            let at = (CUBE_POS - parameter.first) * CUBE_DIM as usize + UNIT_POS as usize;
            if at < parameter.weight.len() {
                let step = parameter.momentum * parameter.velocity[at]
                    - parameter.decay * parameter.weight[at]
                    - parameter.rate * parameter.gradient[at];
                parameter.new_velocity[at] = step;
                parameter.new_weight[at] = parameter.weight[at] + step;
            }
        }
    }
}

impl SgdKernels for CubeBackend {
    fn sgd_update(
        weights: Tensors<Self>,
        gradients: Tensors<Self>,
        velocities: Tensors<Self>,
        steps: Vec<SgdStep>,
    ) -> (Tensors<Self>, Tensors<Self>) {
        let each = weights.0.into_iter().zip(gradients.0).zip(velocities.0).zip(steps);
        let updates: Vec<Update> = each
            .map(|(((weight, gradient), velocity), step)| Update::new([weight, gradient, velocity], step))
            .collect();
        let filled: Vec<&Update> = updates.iter().filter(|update| update.len() > 0).collect();
        if let Some(update) = filled.first() {
            filled.chunks(of_a_launch(&update.weight, 5)).for_each(launch);
        }
        let results = updates.into_iter().map(Update::into_results);
        let (weights, velocities) = results.unzip();
        (Tensors(weights), Tensors(velocities))
    }
}

/// The update of one parameter. All its tensors have the same layout.
struct Update {
    weight: CubeTensor,
    gradient: CubeTensor,
    velocity: CubeTensor,
    new_weight: CubeTensor,
    new_velocity: CubeTensor,
    step: SgdStep,
    channels_last: bool,
}

impl Update {
    fn new(tensors: [CubeTensor; 3], step: SgdStep) -> Self {
        // Convolutions read kernels with the channels last, and leave gradients so. Weights that follow their gradients are
        // not copied in each forward pass.
        let channels_last = tensors[0].shape().num_dims() == 4 && !tensors[1].is_contiguous();
        let [weight, gradient, velocity] = tensors.map(|tensor| match channels_last {
            true => into_contiguous(Rows::of(tensor).tensor),
            false => into_contiguous(tensor),
        });
        let rows = Rows::of_contiguous(weight.clone());
        let [new_weight, new_velocity] = [(); 2].map(|()| rows.empty(weight.shape()));
        Self { weight, gradient, velocity, new_weight, new_velocity, step, channels_last }
    }

    fn len(&self) -> usize {
        self.weight.shape().num_elements()
    }

    fn into_results(self) -> (CubeTensor, CubeTensor) {
        match self.channels_last {
            true => (channels_first(self.new_weight), channels_first(self.new_velocity)),
            false => (self.new_weight, self.new_velocity),
        }
    }
}

fn launch(updates: &[&Update]) {
    let client = &updates[0].weight.client;
    let Parts { firsts, count, dim } = Parts::of(client, updates.iter().map(|update| update.len()));
    let parameters = updates.iter().zip(firsts).map(|(update, first)| {
        ParameterLaunch::new(
            update.weight.clone().into_buffer_arg(),
            update.gradient.clone().into_buffer_arg(),
            update.velocity.clone().into_buffer_arg(),
            update.new_weight.clone().into_buffer_arg(),
            update.new_velocity.clone().into_buffer_arg(),
            first,
            update.step.learning_rate as f32,
            (update.step.learning_rate * update.step.weight_decay) as f32,
            update.step.momentum as f32,
        )
    });
    update::launch(client, count, dim, parameters.collect());
}
