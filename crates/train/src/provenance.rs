//! Which code and which machine computed a result.

use std::fs;

/// The version of the results. It is part of every run's identity, so runs of another version have other names.
///
/// Raise it by hand, with a line in `CHANGELOG.md`, when a change moves the bits of a run: kernels, the pixels that data become,
/// or random draws. Runs with the same number, the same form of the operations, the same backend and the same vector level have
/// the same bits, whatever commits they were made by. `tests/golden/bits.py` fails where bits move and the number does not.
///
/// Runs from before this number existed count as version 1; their records do not have it.
pub const RESULTS: u32 = 2;

/// The processor's architecture and its vector level, e.g. `x86_64-avx2`. Results are bit-identical only between processors
/// with the same one.
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

/// The machine's name, where Linux tells it.
pub(crate) fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
