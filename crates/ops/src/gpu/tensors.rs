//! A list of tensors as an argument or a result of an operation. Burn's extensions have single tensors and structs of a fixed size.

use std::vec::IntoIter;

use burn::backend::fusion::custom::{
    ExtensionMetadata, Float, FusionValueAdapter, HandleContainer, OutputTensor, TensorId, TensorIr,
    TensorSpec,
};
use burn::backend::fusion::{ExecutionError, Fusion, FusionBackend, FusionRuntime, FusionTensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    ExtensionType,
};
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::{Client, CubeCount, CubeDim};
use burn_cubecl::tensor::CubeTensor;

/// The cubes of a launch over the values of many tensors. Each tensor has its own, with a unit for each value.
pub(crate) struct Parts {
    /// The number of each tensor's first cube.
    pub(crate) firsts: Vec<usize>,
    pub(crate) count: CubeCount,
    pub(crate) dim: CubeDim,
}

impl Parts {
    /// Divides a launch over tensors of these sizes.
    pub(crate) fn of(client: &Client, sizes: impl Iterator<Item = usize> + Clone) -> Self {
        let dim = CubeDim::new(client, sizes.clone().sum());
        let units = dim.num_elems() as usize;
        let mut cubes = 0;
        let mut firsts = Vec::new();
        for size in sizes {
            firsts.push(cubes);
            cubes += size.div_ceil(units);
        }
        Self { firsts, count: calculate_cube_count_elemwise(client, cubes * units, dim), dim }
    }
}

/// Returns the most parts of a launch whose parts have `buffers` buffers each. There are two besides: a result, and CubeCL's own for
/// numbers. CUDA passes at most 4 KB of addresses.
pub(crate) fn of_a_launch(tensor: &CubeTensor, buffers: usize) -> usize {
    let bindings = tensor.client.properties().hardware.max_bindings.min(400) as usize;
    (bindings.saturating_sub(2) / buffers).max(1)
}

/// Tensors of floats on one device, of any shapes.
pub(crate) struct Tensors<B: Backend>(pub(crate) Vec<FloatTensor<B>>);

impl<B: Backend> ExtensionType<B> for Tensors<B> {
    type Target = Tensors<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Self::Target
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let mapped = |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Tensors(self.0.into_iter().map(mapped).collect())
    }

    fn map_from_dispatch<F>(target: Self::Target, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|tensor| unwrap_kind(tensor).float()).collect())
    }

    fn routing_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn routing_float_tensor(target: &Self::Target) -> Option<&DispatchTensor> {
        target.0.first()
    }

    fn autodiff_context(target: &Self::Target) -> DispatchAutodiffContext {
        let contexts = target.0.iter().map(|tensor| tensor.autodiff);
        contexts.fold(DispatchAutodiffContext::Disabled, DispatchAutodiffContext::merge)
    }
}

impl<B: Backend> ExtensionMetadata for Tensors<B> {
    type Metadata = Vec<TensorSpec>;
    type Input = Vec<TensorIr>;
    type Output = Vec<OutputTensor>;
}

type Handles<B> = HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;

/// Each tensor goes through Burn's adapter of a single tensor.
impl<B: FusionBackend> FusionValueAdapter<B> for Tensors<B> {
    type Metadata = Vec<TensorSpec>;
    type Input = Vec<TensorIr>;
    type Output = Vec<OutputTensor>;
    type Inner = Self;
    type Fused = Tensors<Fusion<B>>;

    fn to_metadata(value: &Self::Fused) -> Self::Metadata {
        value.0.iter().map(<Float as FusionValueAdapter<B>>::to_metadata).collect()
    }

    fn visit_fused_tensors(value: &Self::Fused, visit: &mut impl FnMut(&FusionTensor<B::FusionRuntime>)) {
        value.0.iter().for_each(visit);
    }

    fn tensor_count(metadata: &Self::Metadata) -> usize {
        metadata.len()
    }

    fn append_input_ir(value: Self::Fused, inputs: &mut Vec<TensorIr>) -> Self::Input {
        let appended = |tensor| <Float as FusionValueAdapter<B>>::append_input_ir(tensor, inputs);
        value.0.into_iter().map(appended).collect()
    }

    fn resolve_inputs(input: &Self::Input, handles: &mut Handles<B>) -> Self {
        Self(
            input
                .iter()
                .map(|input| <Float as FusionValueAdapter<B>>::resolve_inputs(input, handles))
                .collect(),
        )
    }

    fn append_output_ir(
        metadata: &Self::Metadata,
        outputs: &mut Vec<TensorIr>,
        create: &mut impl FnMut() -> TensorId,
    ) -> Self::Output {
        let appended = |of| <Float as FusionValueAdapter<B>>::append_output_ir(of, outputs, create);
        metadata.iter().map(appended).collect()
    }

    fn validate_outputs(
        value: &Self,
        output: &Self::Output,
        device: Option<&B::Device>,
    ) -> Result<(), ExecutionError> {
        let mut all = value.0.iter().zip(output);
        all.try_for_each(|(value, output)| {
            <Float as FusionValueAdapter<B>>::validate_outputs(value, output, device)
        })
    }

    fn register_output_handles(value: Self, output: &Self::Output, handles: &mut Handles<B>) {
        for (value, output) in value.0.into_iter().zip(output) {
            <Float as FusionValueAdapter<B>>::register_output_handles(value, output, handles);
        }
    }

    fn build_fused_output(
        metadata: &Self::Metadata,
        tensors: &mut IntoIter<FusionTensor<B::FusionRuntime>>,
    ) -> Self::Fused {
        let built = |of| <Float as FusionValueAdapter<B>>::build_fused_output(of, tensors);
        Tensors(metadata.iter().map(built).collect())
    }
}
