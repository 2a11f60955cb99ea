//! The instruction sets that kernels are compiled for, and the choice of one at run time.
//!
//! Kernels give the same bits at every level with fused multiply-add: a vector's lanes are different outputs, never
//! parts of one sum, and every sum has a fixed order. Levels without fused multiply-add round each product, and form a
//! class of their own.

use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use pulp::Simd;
use pulp::WithSimd;

/// The environment variable that forces a level.
const VARIABLE: &str = "ALEXNET_BURN_SIMD";

/// An instruction set for the kernels on Flex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimdLevel {
    /// 16 floats per register with fused multiply-add: x86-64 with AVX-512.
    Avx512,
    /// 8 floats with fused multiply-add: x86-64 with AVX2 and FMA.
    Avx2,
    /// 4 floats with fused multiply-add, as NEON has.
    Narrow,
    /// 4 floats without fused multiply-add, as WebAssembly has.
    NarrowNoFma,
}

impl SimdLevel {
    /// All levels.
    pub const ALL: [SimdLevel; 4] = [Self::Avx512, Self::Avx2, Self::Narrow, Self::NarrowNoFma];

    /// Returns the name that `ALEXNET_BURN_SIMD` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Narrow => "narrow",
            Self::NarrowNoFma => "narrow-nofma",
        }
    }

    /// Returns whether the level has fused multiply-add. All levels that do give the same bits.
    pub fn is_fused(self) -> bool {
        self != Self::NarrowNoFma
    }

    /// Returns whether this processor has the level's instructions.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::Narrow => pulp::x86::V3::try_new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Narrow => cfg!(target_arch = "aarch64"),
            Self::NarrowNoFma => true,
        }
    }

    /// Returns the level that `ALEXNET_BURN_SIMD` names, or the best of this processor.
    ///
    /// # Errors
    /// If there is no such level, or the processor does not have it.
    pub fn of_environment() -> Result<Self, SimdError> {
        let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else {
            let best = Self::ALL.into_iter().find(|level| level.is_available());
            return Ok(best.unwrap_or(Self::NarrowNoFma));
        };
        let name = name.to_string_lossy().into_owned();
        match Self::ALL.into_iter().find(|level| level.name() == name) {
            Some(level) if level.is_available() => Ok(level),
            Some(level) => Err(SimdError::Absent(level)),
            None => Err(SimdError::Unknown(name)),
        }
    }

    /// Returns the level of this process.
    ///
    /// # Panics
    /// If [`of_environment`](Self::of_environment) is an error.
    #[inline]
    pub fn current() -> Self {
        #[cfg(test)]
        if let Some(level) = FORCED.get() {
            return level;
        }
        static LEVEL: LazyLock<SimdLevel> =
            LazyLock::new(|| SimdLevel::of_environment().unwrap_or_else(|error| panic!("{error}")));
        *LEVEL
    }

    /// Calls `work` on a thread with this level, whose parallel tasks have it too. For tests that compare levels.
    #[cfg(test)]
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        assert!(self.is_available());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
        pool.start_handler(move |_| FORCED.set(Some(self))).build().unwrap().install(work)
    }
}

thread_local! {
    /// The level that a test forces on this thread.
    #[cfg(test)]
    static FORCED: Cell<Option<SimdLevel>> = const { Cell::new(None) };
    /// Whether this thread is known to keep subnormal numbers.
    static KEEPS_SUBNORMALS: Cell<bool> = const { Cell::new(false) };
}

/// Why a level cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimdError {
    /// There is no level of this name.
    Unknown(String),
    /// The processor does not have it.
    Absent(SimdLevel),
}

impl fmt::Display for SimdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |levels: &mut dyn Iterator<Item = SimdLevel>| {
            levels.map(SimdLevel::name).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Unknown(name) => {
                let all = names(&mut SimdLevel::ALL.into_iter());
                write!(f, "{VARIABLE}: there is no level `{name}`; choose one of {all}")
            }
            Self::Absent(level) => {
                let here = names(&mut SimdLevel::ALL.into_iter().filter(|level| level.is_available()));
                write!(f, "{VARIABLE}: this processor does not have `{}`; it has {here}", level.name())
            }
        }
    }
}

impl std::error::Error for SimdError {}

/// The instructions of this processor. Asking it takes longer than a small kernel.
#[cfg(target_arch = "x86_64")]
static INSTRUCTIONS: LazyLock<(Option<pulp::x86::V4>, Option<pulp::x86::V3>, Option<pulp::x86::V2>)> =
    LazyLock::new(|| (pulp::x86::V4::try_new(), pulp::x86::V3::try_new(), pulp::x86::V2::try_new()));

/// Runs an operation compiled for the current level.
#[cfg_attr(not(feature = "flex"), allow(dead_code))]
#[inline]
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    if !KEEPS_SUBNORMALS.get() {
        check_subnormals();
    }
    #[cfg(target_arch = "x86_64")]
    match (SimdLevel::current(), &*INSTRUCTIONS) {
        (SimdLevel::Avx512, (Some(simd), ..)) => Simd::vectorize(*simd, op),
        (SimdLevel::Avx2 | SimdLevel::Narrow, (_, Some(simd), _)) => Simd::vectorize(*simd, op),
        (_, (.., Some(simd))) => Simd::vectorize(*simd, op),
        _ => Simd::vectorize(pulp::Scalar, op),
    }
    #[cfg(not(target_arch = "x86_64"))]
    pulp::Arch::new().dispatch(op)
}

/// Checks that this thread keeps subnormal numbers. A library may have set the processor to flush them to zero, which
/// changes results.
#[cold]
fn check_subnormals() {
    let smallest = std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5);
    assert!(smallest > 0.0, "this thread flushes subnormal numbers to zero");
    KEEPS_SUBNORMALS.set(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_levels() {
        let unknown = SimdError::Unknown("sse".to_owned()).to_string();
        assert!(
            unknown.contains("no level `sse`; choose one of avx512, avx2, narrow, narrow-nofma"),
            "{unknown}"
        );
        let absent = SimdError::Absent(SimdLevel::Avx512).to_string();
        assert!(absent.contains("does not have `avx512`") && absent.contains("narrow-nofma"), "{absent}");
        assert!(SimdLevel::current().is_available());
    }
}
