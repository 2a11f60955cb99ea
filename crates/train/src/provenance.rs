//! The code and the machine that computed a result.

use std::fs;

/// The version of the results. It is part of every run's identity, so runs of another version have other
/// names.
///
/// Increase it by hand, with a line in `CHANGELOG.md`, when a change alters the bits of a run: kernels, image
/// preprocessing, or random draws. Runs with the same number, form of the operations, backend and vector
/// level have the same bits, whichever commit produced them. `tests/golden/bits.py` fails if the bits change
/// and this number does not.
///
/// Runs from before this number existed count as version 1. Their records do not contain it.
pub const RESULTS: u32 = 2;

/// Returns the processor's architecture and vector level, e.g. `x86_64-avx2`. Results are bit-identical only
/// between processors for which this string is equal.
pub(crate) fn processor() -> String {
    let level = {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                "avx512f"
            } else if is_x86_feature_detected!("avx2") {
                "avx2"
            } else {
                "sse"
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            "baseline"
        }
    };
    format!("{}-{level}", std::env::consts::ARCH)
}

/// Returns the machine's name, if Linux reports it.
pub(crate) fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
