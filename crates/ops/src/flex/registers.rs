//! The arithmetic of the innermost loop on registers of several widths.

use pulp::{Simd, WithSimd};

use crate::level::{SimdLevel, dispatch};

/// Work that is compiled for registers of each width.
pub(crate) trait WithRegisters {
    /// What it returns.
    type Output;

    /// Does the work with these registers. It must be inlined, so that it is compiled for their instructions.
    fn with_registers<R: Registers>(self, registers: R) -> Self::Output;
}

/// Does the work with the registers of the current level.
pub(crate) fn on_registers<W: WithRegisters>(work: W) -> W::Output {
    dispatch(OnLevel(work))
}

struct OnLevel<W>(W);

impl<W: WithRegisters> WithSimd for OnLevel<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> W::Output {
        match SimdLevel::current() {
            SimdLevel::Narrow if S::F32_LANES > Four::LANES => self.0.with_registers(Four),
            SimdLevel::NarrowNoFma => self.0.with_registers(Separate(simd)),
            _ => self.0.with_registers(Fused(simd)),
        }
    }
}

/// Registers of floats.
pub(crate) trait Registers: Copy {
    /// A register.
    type Floats: Copy;
    /// Floats in a register.
    const LANES: usize;
    /// Registers of the processor.
    const COUNT: usize;

    /// The registers that lie in a slice.
    fn slice(values: &[f32]) -> &[Self::Floats];
    /// The registers that lie in a slice.
    fn slice_mut(values: &mut [f32]) -> &mut [Self::Floats];
    /// The same number in each lane.
    fn splat(self, value: f32) -> Self::Floats;
    /// `a · b + c` in each lane.
    fn multiply_add(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `a + b` in each lane.
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
}

/// The processor's registers, with products that are rounded once, together with the sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fused<S>(pub(crate) S);

impl<S: Simd> Registers for Fused<S> {
    type Floats = S::f32s;
    const LANES: usize = S::F32_LANES;
    const COUNT: usize = S::REGISTER_COUNT;

    #[inline(always)]
    fn slice(values: &[f32]) -> &[S::f32s] {
        S::as_simd_f32s(values).0
    }

    #[inline(always)]
    fn slice_mut(values: &mut [f32]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(values).0
    }

    #[inline(always)]
    fn splat(self, value: f32) -> S::f32s {
        self.0.splat_f32s(value)
    }

    #[inline(always)]
    fn multiply_add(self, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        self.0.mul_add_f32s(a, b, c)
    }

    #[inline(always)]
    fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }
}

/// The processor's registers, with products that are rounded before they are added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Separate<S>(pub(crate) S);

impl<S: Simd> Registers for Separate<S> {
    type Floats = S::f32s;
    const LANES: usize = S::F32_LANES;
    const COUNT: usize = S::REGISTER_COUNT;

    #[inline(always)]
    fn slice(values: &[f32]) -> &[S::f32s] {
        S::as_simd_f32s(values).0
    }

    #[inline(always)]
    fn slice_mut(values: &mut [f32]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(values).0
    }

    #[inline(always)]
    fn splat(self, value: f32) -> S::f32s {
        self.0.splat_f32s(value)
    }

    #[inline(always)]
    fn multiply_add(self, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        self.0.add_f32s(self.0.mul_f32s(a, b), c)
    }

    #[inline(always)]
    fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }
}

/// Four floats with fused multiply-add, which x86-64 has no level of its own for. It stands for NEON in comparisons.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Four;

impl Registers for Four {
    type Floats = [f32; 4];
    const LANES: usize = 4;
    const COUNT: usize = 16;

    #[inline(always)]
    fn slice(values: &[f32]) -> &[[f32; 4]] {
        values.as_chunks().0
    }

    #[inline(always)]
    fn slice_mut(values: &mut [f32]) -> &mut [[f32; 4]] {
        values.as_chunks_mut().0
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn multiply_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
}
