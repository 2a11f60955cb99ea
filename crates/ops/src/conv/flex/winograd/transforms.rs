//! The transformations of Winograd's minimal filtering.
//!
//! A kernel of `n` taps and six inputs give `7 − n` outputs: kernel and inputs are seen as polynomials, which are
//! evaluated at six points, multiplied point by point and interpolated. The points are 0, 1, −1, ½, −2 and infinity. The
//! same points, and so the same transformation of inputs, serve three taps (four outputs) and five taps (two outputs). In
//! two dimensions a transformation is applied to the columns of a tile and then to its rows.
//!
//! Sources: Winograd 1980, *Arithmetic Complexity of Computations*; Lavin & Gray 2016, arXiv 1509.09308.

use crate::flex::registers::Registers;

/// Inputs of a tile along one side, and the number of points.
pub(super) const SIDE: usize = 6;

/// The side of the kernels that are filtered so.
#[derive(Debug, Clone, Copy)]
pub(super) enum KernelSide {
    /// Three by three taps: tiles of four by four outputs.
    Three,
    /// Five by five taps: tiles of two by two outputs.
    Five,
}

impl KernelSide {
    /// Returns `None` for kernels of another shape.
    pub(super) fn of(kernel: [usize; 2]) -> Option<Self> {
        match kernel {
            [3, 3] => Some(Self::Three),
            [5, 5] => Some(Self::Five),
            _ => None,
        }
    }

    /// Outputs of a tile along one side, and inputs from a tile to the next.
    pub(super) fn step(self) -> usize {
        match self {
            Self::Three => 4,
            Self::Five => 2,
        }
    }
}

/// A linear transformation of `I` numbers to `O` numbers, in each lane.
pub(super) trait Transformation<const I: usize, const O: usize> {
    fn apply<R: Registers>(registers: R, values: [R::Floats; I]) -> [R::Floats; O];
}

/// Inputs at the points. For each point but infinity, the polynomial of this row is zero at the others:
///
/// ```text
/// 1 −3/2   −2  3/2    1   0
/// 0   −1  1/2  5/2    1   0
/// 0    1 −5/2  1/2    1   0
/// 0   −2   −1    2    1   0
/// 0  1/2   −1 −1/2    1   0
/// 0    1 −3/2   −2  3/2   1
/// ```
pub(super) struct Inputs;

impl Transformation<SIDE, SIDE> for Inputs {
    #[inline(always)]
    fn apply<R: Registers>(r: R, [a, b, c, d, e, f]: [R::Floats; SIDE]) -> [R::Floats; SIDE] {
        let times = |factor: f32, value, sum| r.multiply_add(r.splat(factor), value, sum);
        let (db, ec) = (times(-1.0, b, d), times(-1.0, c, e));
        [
            times(1.5, db, times(-2.0, c, r.add(a, e))),
            times(2.5, d, times(0.5, c, times(-1.0, b, e))),
            times(0.5, d, times(-2.5, c, r.add(b, e))),
            times(2.0, db, ec),
            times(-0.5, db, ec),
            times(1.5, ec, times(-2.0, d, r.add(b, f))),
        ]
    }
}

/// A kernel's value at each point, over the value there of the polynomial of [`Inputs`]' row.
pub(super) struct Taps;

impl<const TAPS: usize> Transformation<TAPS, SIDE> for Taps {
    #[inline(always)]
    fn apply<R: Registers>(r: R, taps: [R::Floats; TAPS]) -> [R::Floats; SIDE] {
        let zero = r.splat(0.0);
        let [mut even, mut odd, mut half, mut minus_two] = [zero; 4];
        let (mut power_of_half, mut power_of_minus_two) = (-16.0 / 15.0, 1.0 / 15.0);
        for (tap, value) in taps.into_iter().enumerate() {
            if tap % 2 == 0 {
                even = r.add(even, value);
            } else {
                odd = r.add(odd, value);
            }
            half = r.multiply_add(r.splat(power_of_half), value, half);
            minus_two = r.multiply_add(r.splat(power_of_minus_two), value, minus_two);
            power_of_half *= 0.5;
            power_of_minus_two *= -2.0;
        }
        let third = r.splat(1.0 / 3.0);
        let one = r.multiply_add(third, r.add(even, odd), zero);
        let minus_one = r.multiply_add(third, r.multiply_add(r.splat(-1.0), even, odd), zero);
        [taps[0], one, minus_one, half, minus_two, taps[TAPS - 1]]
    }
}

/// Outputs from the points: the powers of each point; infinity counts for the last output.
pub(super) struct Outputs;

impl<const OUTPUTS: usize> Transformation<SIDE, OUTPUTS> for Outputs {
    #[inline(always)]
    fn apply<R: Registers>(r: R, [a, b, c, d, e, f]: [R::Floats; SIDE]) -> [R::Floats; OUTPUTS] {
        let (even, odd) = (r.add(b, c), r.multiply_add(r.splat(-1.0), c, b));
        let mut outputs = [r.splat(0.0); OUTPUTS];
        let (mut power_of_half, mut power_of_minus_two) = (1.0, 1.0);
        for (output, value) in outputs.iter_mut().enumerate() {
            let ones = if output % 2 == 0 { even } else { odd };
            let halves = r.multiply_add(r.splat(power_of_half), d, ones);
            *value = r.multiply_add(r.splat(power_of_minus_two), e, halves);
            power_of_half *= 0.5;
            power_of_minus_two *= -2.0;
        }
        outputs[0] = r.add(outputs[0], a);
        outputs[OUTPUTS - 1] = r.add(outputs[OUTPUTS - 1], f);
        outputs
    }
}

/// Transforms the columns of a tile, which is read value by value as `[row, column]`, and then its rows.
#[inline(always)]
pub(super) fn both_ways<R: Registers, T: Transformation<I, O>, const I: usize, const O: usize>(
    registers: R,
    tile: impl Fn(usize, usize) -> R::Floats,
) -> [[R::Floats; O]; O] {
    // Loops rather than closures: what calls a closure might be compiled without the registers' instructions.
    let mut lines = [[registers.splat(0.0); I]; O];
    for x in 0..I {
        let mut column = [registers.splat(0.0); I];
        for (y, value) in column.iter_mut().enumerate() {
            *value = tile(y, x);
        }
        for (line, value) in lines.iter_mut().zip(T::apply(registers, column)) {
            line[x] = value;
        }
    }
    let mut out = [[registers.splat(0.0); O]; O];
    for (out, line) in out.iter_mut().zip(lines) {
        *out = T::apply(registers, line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flex::registers::Four;

    fn assert_filters<const TAPS: usize, const OUTPUTS: usize>() {
        let inputs = [3.0f32, -7.0, 2.0, 5.0, -4.0, 6.0];
        let taps: [f32; TAPS] = std::array::from_fn(|tap| [2.0, -5.0, 3.0, 1.0, -6.0][tap]);
        let inputs_at = Inputs::apply(Four, inputs.map(|value| [value; 4]));
        let taps_at = Taps::apply(Four, taps.map(|value| [value; 4]));
        let products = std::array::from_fn(|point| [inputs_at[point][0] * taps_at[point][0]; 4]);
        let outputs: [[f32; 4]; OUTPUTS] = Outputs::apply(Four, products);
        for (at, output) in outputs.iter().enumerate() {
            let direct: f32 = (0..TAPS).map(|tap| inputs[at + tap] * taps[tap]).sum();
            // Tolerance: thirds and fifteenths are rounded.
            assert!((output[0] - direct).abs() < 1e-4, "{TAPS} taps, output {at}: {} {direct}", output[0]);
        }
    }

    #[test]
    fn six_points_filter_with_two_to_five_taps() {
        assert_filters::<2, 5>();
        assert_filters::<3, 4>();
        assert_filters::<4, 3>();
        assert_filters::<5, 2>();
    }
}
