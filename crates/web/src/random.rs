//! Random bytes for Burn's names of parameters. No draw that a result depends on is made of them: those have keys.

/// Fills `bytes` with numbers of a fixed sequence (SplitMix64). The `getrandom` crate calls it where there is no system.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    bytes: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static STATE: AtomicU64 = AtomicU64::new(0);
    for at in 0..length {
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // SAFETY: the caller passes a buffer of `length` bytes.
        unsafe { bytes.add(at).write((mixed >> 56) as u8) };
    }
    Ok(())
}
