//! The code that computed a result.

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
