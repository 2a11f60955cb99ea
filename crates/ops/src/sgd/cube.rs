//! The update in CubeCL, in one launch.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::extension::SgdKernels;
use crate::config::SgdStep;
use crate::gpu::rows::{Rows, channels_first};

#[cube(launch)]
fn update(
    weight: &[f32],
    gradient: &[f32],
    velocity: &[f32],
    new_weight: &mut [f32],
    new_velocity: &mut [f32],
    rate: f32,
    decay: f32,
    momentum: f32,
) {
    if ABSOLUTE_POS >= new_weight.len() {
        terminate!();
    }
    let at = ABSOLUTE_POS;
    let step = momentum * velocity[at] - decay * weight[at] - rate * gradient[at];
    new_velocity[at] = step;
    new_weight[at] = weight[at] + step;
}

impl SgdKernels for CubeBackend {
    fn sgd_update(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        step: SgdStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        // Convolutions read kernels with the channels last, and leave gradients so. Weights that follow their gradients are
        // not copied in each forward pass.
        let channels_last = weight.shape().num_dims() == 4 && !gradient.is_contiguous();
        let plain = |tensor: CubeTensor| match channels_last {
            true => into_contiguous(Rows::of(tensor).tensor),
            false => into_contiguous(tensor),
        };
        let [weight, gradient, velocity] = [weight, gradient, velocity].map(plain);
        let rows = Rows::of_contiguous(weight.clone());
        let [new_weight, new_velocity] = [(); 2].map(|()| rows.empty(weight.shape()));
        if rows.len() > 0 {
            let (count, dim) = rows.launch(rows.len());
            update::launch(
                &new_weight.client,
                count,
                dim,
                weight.into_buffer_arg(),
                gradient.into_buffer_arg(),
                velocity.into_buffer_arg(),
                new_weight.clone().into_buffer_arg(),
                new_velocity.clone().into_buffer_arg(),
                step.learning_rate as f32,
                (step.learning_rate * step.weight_decay) as f32,
                step.momentum as f32,
            );
        }
        match channels_last {
            true => (channels_first(new_weight), channels_first(new_velocity)),
            false => (new_weight, new_velocity),
        }
    }
}
