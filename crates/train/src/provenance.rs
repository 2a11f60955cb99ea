//! The code and the machine that computed a result.

use std::fs;

use alexnet_ops::SimdLevel;

/// The version of the results. It is part of every run's identity, so runs of another version have other
/// names.
///
/// Increase it by hand, with a line in `CHANGELOG.md`, when a change alters the bits of a run: kernels, image
/// preprocessing, or random draws. Runs with the same number, form of the operations, backend and class of
/// arithmetic (with or without fused multiply-add) have the same bits, whichever commit produced them. `tests/golden/bits.py` fails if the bits change
/// and this number does not.
///
/// Runs from before this number existed count as version 1. Their records do not contain it.
pub const RESULTS: u32 = 3;

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
