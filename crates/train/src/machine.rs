//! The machine that computes a run.

use std::fs;

use alexnet_ops::SimdLevel;

/// Returns the processor's architecture and the level of its kernels on Flex, e.g. `x86_64-avx2`. Results are
/// bit-identical between all levels with fused multiply-add, on any architecture.
pub(crate) fn processor() -> String {
    format!("{}-{}", std::env::consts::ARCH, SimdLevel::current().name())
}

/// Returns the machine's name, if Linux reports it.
pub(crate) fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
