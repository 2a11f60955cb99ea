use std::fmt;
use std::str::FromStr;

use burn::tensor::{Device, Tensor};

/// A backend and the index of one of its devices, as named by `--backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    kind: Kind,
    index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flex,
    NdArray,
    Wgpu,
    Cuda,
    Rocm,
}

/// Every backend the project supports, the default first: its kind, its name (also the cargo feature), and
/// whether this build has it.
const KINDS: [(Kind, &str, bool); 5] = [
    (Kind::Flex, "flex", cfg!(feature = "flex")),
    (Kind::Cuda, "cuda", cfg!(feature = "cuda")),
    (Kind::Rocm, "rocm", cfg!(feature = "rocm")),
    (Kind::Wgpu, "wgpu", cfg!(feature = "wgpu")),
    (Kind::NdArray, "ndarray", cfg!(feature = "ndarray")),
];

/// The reason why a backend cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// No backend has this name.
    #[error("there is no backend `{name}`; choose one of {}", names(|_| true))]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// The backend was not compiled in.
    #[error(
        "backend `{name}` is not in this build, which has {}; \
         build with `--features {name}` (`cargo run --features {name} -p experiments -- …`)",
        names(|compiled| compiled)
    )]
    NotInThisBuild {
        /// The requested backend.
        name: &'static str,
    },
    /// The machine has no such device.
    #[error("backend `{backend}` finds {found} device(s) here and no number {index}; {advice}")]
    NoSuchDevice {
        /// The requested backend.
        backend: &'static str,
        /// The device's number.
        index: usize,
        /// The number of devices found.
        found: usize,
        /// The suggested fix.
        advice: &'static str,
    },
    /// wgpu finds no adapter.
    #[error(
        "backend `wgpu` finds no adapter here ({reason}); \
         install a Vulkan, Metal or DirectX driver"
    )]
    NoAdapter {
        /// The reason that wgpu reports.
        reason: String,
    },
    /// A tensor of the model is larger than the device can bind.
    #[error(
        "the model's largest tensor takes {needed} MiB, but this device can bind at most {limit} MiB; \
         use a smaller network or batch, or another backend"
    )]
    TooLarge {
        /// MiB needed.
        needed: u64,
        /// MiB the device can bind.
        limit: u64,
    },
    /// The machine's memory is too small for a purpose that runs on the processor.
    #[error(
        "{purpose} takes at least {needed} MiB at once, and this machine has {limit} MiB; \
         use a smaller network or batch"
    )]
    NoMemory {
        /// The purpose.
        purpose: &'static str,
        /// MiB needed.
        needed: u64,
        /// MiB available.
        limit: u64,
    },
}

fn names(wanted: impl Fn(bool) -> bool) -> String {
    let names = KINDS.iter().filter(|(_, _, compiled)| wanted(*compiled));
    names.map(|(_, name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Backend {
    /// Returns the backends compiled into this build, the default first.
    pub fn in_this_build() -> Vec<Backend> {
        let compiled = KINDS.iter().filter(|(_, _, compiled)| *compiled);
        compiled.map(|&(kind, _, _)| Backend { kind, index: 0 }).collect()
    }

    /// Returns the names of all backends that the project supports, also as cargo features.
    pub fn names() -> Vec<&'static str> {
        KINDS.iter().map(|(_, name, _)| *name).collect()
    }

    /// Returns the names of this backend's GPUs in the order of their numbers. Opens them.
    pub fn devices(&self) -> Vec<String> {
        self.gpus().iter().map(name_of).collect()
    }

    /// Returns the backend's name, without the device's index.
    pub fn name(&self) -> &'static str {
        KINDS[KINDS.iter().position(|(kind, _, _)| *kind == self.kind).unwrap_or_default()].1
    }

    /// Returns whether devices of this kind can sum tensors among themselves. In Burn 0.22 only CUDA devices
    /// can.
    pub fn has_collectives(&self) -> bool {
        self.kind == Kind::Cuda
    }

    /// Returns whether the processor is the device.
    pub fn is_processor(&self) -> bool {
        matches!(self.kind, Kind::Flex | Kind::NdArray)
    }

    /// Returns whether Burn tries out kernels for every new shape.
    pub fn tunes_kernels(&self) -> bool {
        cfg!(feature = "autotune") && !self.is_processor()
    }

    /// Returns the device, without automatic differentiation.
    ///
    /// # Errors
    /// If the backend is not in this build or the device is not in this machine.
    pub fn device(&self) -> Result<Device, BackendError> {
        match self.kind {
            #[cfg(feature = "flex")]
            Kind::Flex => self.only(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)]
            // Upstream keeps it as a second implementation for tests.
            Kind::NdArray => self.only(Device::ndarray()),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu if self.index == 0 => wgpu_adapter().map(|(device, _)| device),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu => self.listed("set CUBECL_WGPU_DEFAULT_DEVICE to choose an adapter"),
            #[cfg(feature = "cuda")]
            Kind::Cuda => self.listed("check that `nvidia-smi` lists it"),
            #[cfg(feature = "rocm")]
            Kind::Rocm => self.listed("check that `rocminfo` lists it"),
            #[allow(unreachable_patterns)] // reachable unless every feature is on
            _ => Err(BackendError::NotInThisBuild { name: self.name() }),
        }
    }

    #[cfg(any(feature = "flex", feature = "ndarray"))]
    fn only(&self, device: Device) -> Result<Device, BackendError> {
        match self.index {
            0 => Ok(device),
            index => Err(BackendError::NoSuchDevice {
                backend: self.name(),
                index,
                found: 1,
                advice: "the processor is number 0",
            }),
        }
    }

    /// GPU devices are created lazily and panic at first use, so list the existing ones before using one.
    #[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
    fn listed(&self, advice: &'static str) -> Result<Device, BackendError> {
        let mut devices = self.gpus();
        if self.index < devices.len() {
            return Ok(devices.swap_remove(self.index));
        }
        Err(BackendError::NoSuchDevice {
            backend: self.name(),
            index: self.index,
            found: devices.len(),
            advice,
        })
    }
}

impl Backend {
    /// Returns the GPUs of this kind.
    fn gpus(&self) -> Vec<Device> {
        match self.kind {
            #[cfg(feature = "wgpu")]
            Kind::Wgpu => {
                // The first has its limits read, which is possible only when it is opened. The list names it by its kind.
                let first = wgpu_adapter().ok().map(|(device, _)| device);
                let mut others = Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec();
                let again = first.as_ref().map(name_of);
                // A software device may be opened twice: two devices for those who have no GPU.
                let software = Device::wgpu(burn::tensor::DeviceKind::Cpu);
                let is_again = |device: &Device| *device != software && Some(name_of(device)) == again;
                if let Some(at) = others.iter().position(is_again) {
                    others.remove(at);
                }
                first.into_iter().chain(others).collect()
            }
            #[cfg(feature = "cuda")]
            Kind::Cuda => Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(),
            #[cfg(feature = "rocm")]
            Kind::Rocm => Device::enumerate(burn::tensor::DeviceType::Rocm).into_vec(),
            _ => Vec::new(),
        }
    }
}

#[cfg(feature = "gpu")]
fn name_of(device: &Device) -> String {
    device.identity().map_or_else(|| format!("{device:?}"), |identity| identity.name)
}

#[cfg(not(feature = "gpu"))]
fn name_of(device: &Device) -> String {
    format!("{device:?}")
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            0 => f.write_str(self.name()),
            index => write!(f, "{}:{index}", self.name()),
        }
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    /// Parses `flex`, `cuda`, `cuda:1`, ….
    fn from_str(text: &str) -> Result<Self, BackendError> {
        let unknown = || BackendError::Unknown { name: text.to_owned() };
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, index.parse().map_err(|_| unknown())?),
            None => (text, 0),
        };
        let &(kind, name, compiled) =
            KINDS.iter().find(|(_, known, _)| *known == name).ok_or_else(unknown)?;
        if !compiled {
            return Err(BackendError::NotInThisBuild { name });
        }
        Ok(Backend { kind, index })
    }
}

/// Returns whether a tensor is f32 on Flex, which has kernels for it.
#[cfg(feature = "flex")]
pub(crate) fn on_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == burn::tensor::DType::F32 && tensor.device().inner() == Device::flex()
}

#[cfg(not(feature = "flex"))]
pub(crate) fn on_flex<const D: usize>(_: &Tensor<D>) -> bool {
    false
}

/// Returns whether a tensor is f32 on a GPU backend, for which there are kernels in CubeCL.
pub(crate) fn on_gpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == burn::tensor::DType::F32 && is_gpu(&tensor.device())
}

/// Returns whether a device is one of a GPU backend.
#[cfg(feature = "gpu")]
pub(crate) fn is_gpu(device: &Device) -> bool {
    use burn::backend::DispatchDevice;
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Cube(_))
}

#[cfg(not(feature = "gpu"))]
pub(crate) fn is_gpu(_: &Device) -> bool {
    false
}

/// Returns whether a device has TF32, in which CubeCL then multiplies f32. Opens the device.
#[cfg(feature = "gpu")]
pub(crate) fn multiplies_in_tf32(device: &Device) -> bool {
    use burn::backend::DispatchDevice;
    use burn_cubecl::cubecl::ir::{ElemType, FloatKind};
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Cube(cube) => {
            cube.client().properties().supports_type(ElemType::Float(FloatKind::TF32))
        }
        _ => false,
    }
}

#[cfg(not(feature = "gpu"))]
pub(crate) fn multiplies_in_tf32(_: &Device) -> bool {
    false
}

const MIB: u64 = 1 << 20;

/// Checks that the machine has `bytes` of memory, if the backend computes in it and the system reports its
/// size.
///
/// # Errors
/// [`BackendError::NoMemory`].
pub fn fits_memory(backend: &Backend, purpose: &'static str, bytes: u64) -> Result<(), BackendError> {
    match crate::memory::machine_memory().filter(|_| backend.is_processor()) {
        Some(limit) if bytes > limit => {
            Err(BackendError::NoMemory { purpose, needed: bytes.div_ceil(MIB), limit: limit / MIB })
        }
        _ => Ok(()),
    }
}

/// Checks that `device` can hold a tensor of `bytes` in one binding.
///
/// Only wgpu adapters limit this, some to 128 MiB. Beyond the limit they panic in their own thread, with no
/// useful message. Only the default adapter's limit is known here: other adapters pass.
///
/// # Errors
/// [`BackendError::TooLarge`].
pub fn fits(backend: &Backend, bytes: u64) -> Result<(), BackendError> {
    match binding_limit(backend) {
        Some(limit) if bytes > limit => {
            Err(BackendError::TooLarge { needed: bytes.div_ceil(MIB), limit: limit / MIB })
        }
        _ => Ok(()),
    }
}

#[cfg(not(feature = "wgpu"))]
fn binding_limit(_: &Backend) -> Option<u64> {
    None
}

#[cfg(feature = "wgpu")]
fn binding_limit(backend: &Backend) -> Option<u64> {
    let (_, limit) = (*backend == Backend { kind: Kind::Wgpu, index: 0 }).then(wgpu_adapter)?.ok()?;
    Some(limit)
}

/// Returns the default adapter and the number of bytes it can bind at once. Initialized at first use.
#[cfg(feature = "wgpu")]
fn wgpu_adapter() -> Result<(Device, u64), BackendError> {
    use std::sync::OnceLock;
    static ADAPTER: OnceLock<Result<(Device, u64), String>> = OnceLock::new();
    let adapter = ADAPTER.get_or_init(|| {
        let (device, setup) = Device::wgpu_options().init_with_setup().map_err(|error| error.to_string())?;
        Ok((device, setup.device.limits().max_storage_buffer_binding_size))
    });
    adapter.clone().map_err(|reason| BackendError::NoAdapter { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_wrong_ones_say_what_to_do() {
        for backend in Backend::in_this_build() {
            assert_eq!(backend.to_string().parse(), Ok(backend));
        }
        let error = "tpu".parse::<Backend>().unwrap_err().to_string();
        assert!(error.contains("`tpu`") && error.contains("`flex`"), "{error}");
        assert!("flex:one".parse::<Backend>().is_err());
    }

    #[cfg(not(feature = "rocm"))]
    #[test]
    fn a_backend_that_is_not_compiled_in_says_how_to_build_it() {
        let error = "rocm".parse::<Backend>().unwrap_err().to_string();
        assert!(error.contains("--features rocm"), "{error}");
    }

    #[cfg(all(feature = "flex", target_os = "linux"))]
    #[test]
    fn more_memory_than_the_machine_has_is_an_error_that_says_how_much() {
        let flex: Backend = "flex".parse().unwrap();
        assert_eq!(fits_memory(&flex, "training", 1 << 20), Ok(()));
        let error = fits_memory(&flex, "training", 1 << 60).unwrap_err().to_string();
        assert!(error.contains("training takes at least 1099511627776 MiB"), "{error}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        let error = "flex:3".parse::<Backend>().unwrap().device().unwrap_err();
        assert!(error.to_string().contains("no number 3"), "{error}");
    }
}
