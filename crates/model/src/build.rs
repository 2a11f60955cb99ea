//! Builds a network with drawn or given weights.

use burn::tensor::Device;

use crate::alexnet::AlexNet;
use crate::config::Network;
use crate::init::{Parameter, Source};
use crate::layers::{ConvLayer, FcLayer};
use crate::trace::NetworkError;

impl Network {
    /// Builds the network with weights drawn from `seed`.
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn init(&self, seed: u64, device: &Device) -> Result<AlexNet, NetworkError> {
        self.init_on(seed, std::slice::from_ref(device))
    }

    /// [`init`](Self::init) with the towers on several devices; see [`build_on`](Self::build_on).
    ///
    /// # Errors
    /// If the layers do not fit together.
    pub fn init_on(&self, seed: u64, devices: &[Device]) -> Result<AlexNet, NetworkError> {
        self.build_on(devices, &mut |parameter| Ok(parameter.draw(seed)))
    }

    /// Builds the network with the values that `values` returns for each parameter, in row-major order.
    ///
    /// # Errors
    /// If the layers do not fit together, or `values` fails.
    ///
    /// # Panics
    /// If `values` returns more or fewer numbers than the parameter's shape holds.
    pub fn build<E: From<NetworkError>>(
        &self,
        device: &Device,
        values: &mut dyn FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<AlexNet, E> {
        self.build_on(std::slice::from_ref(device), values)
    }

    /// [`build`](Self::build) with the towers placed on the devices in turn. The last layer, which is not
    /// split, is on the first tower's device.
    ///
    /// # Errors
    /// Same as [`build`](Self::build).
    ///
    /// # Panics
    /// Same as [`build`](Self::build), and if there is no device.
    pub fn build_on<E: From<NetworkError>>(
        &self,
        devices: &[Device],
        values: &mut dyn FnMut(&Parameter) -> Result<Vec<f32>, E>,
    ) -> Result<AlexNet, E> {
        let trace = self.trace()?;
        let device = |tower: usize| &devices[tower % devices.len()];
        let (conv, fc) = trace.layers.split_at(self.conv.len());
        let conv = self.conv.iter().zip(conv).map(|(layer, trace)| {
            let towers = (0..trace.towers).map(|tower| {
                layer.build(self, tower, trace, &mut Source { values: &mut *values, device: device(tower) })
            });
            Ok(ConvLayer { towers: towers.collect::<Result<_, E>>()? })
        });
        let conv = conv.collect::<Result<_, E>>()?;
        let fc = self.fc.iter().zip(fc).map(|(layer, trace)| {
            let towers = (0..trace.towers).map(|tower| {
                layer.build(self, tower, trace, &mut Source { values: &mut *values, device: device(tower) })
            });
            Ok(FcLayer { towers: towers.collect::<Result<_, E>>()? })
        });
        let fc = fc.collect::<Result<_, E>>()?;
        Ok(AlexNet::new(conv, fc, self.clone()))
    }
}
