//! The transformations of Winograd's minimal filtering.
//!
//! A kernel of `n` taps and six inputs give `7 − n` outputs: kernel and inputs are seen as polynomials, which are
//! evaluated at six points, multiplied point by point and interpolated. The points are 0, 1, −1, ½, infinity and −2. The
//! same points, and so the same transformation of inputs, serve three taps (four outputs) and five taps (two outputs). A
//! short tile has one input, one output and one point less: it leaves −2 out. In two dimensions a transformation is
//! applied to the columns of a tile and then to its rows.
//!
//! Sources: Winograd 1980, *Arithmetic Complexity of Computations*; Lavin & Gray 2016, arXiv 1509.09308.

use crate::flex::registers::Registers;

/// Inputs of a tile along one side, and the number of points.
pub(super) const LONG: usize = 6;
/// Inputs of a short tile along one side, and the number of its points.
pub(super) const SHORT: usize = 5;

/// The side of the kernels that are filtered so.
#[derive(Debug, Clone, Copy)]
pub(super) enum KernelSide {
    /// Three by three taps: tiles of four outputs a side, or three if short.
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

    /// Outputs of a long tile along one side, and inputs from it to the next tile.
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
/// 0    1 −3/2   −2  3/2   1
/// 0  1/2   −1 −1/2    1   0
/// ```
pub(super) struct Inputs;

impl Transformation<LONG, LONG> for Inputs {
    #[inline(always)]
    fn apply<R: Registers>(r: R, [a, b, c, d, e, f]: [R::Floats; LONG]) -> [R::Floats; LONG] {
        let times = |factor: f32, value, sum| r.multiply_add(r.splat(factor), value, sum);
        let (db, ec) = (times(-1.0, b, d), times(-1.0, c, e));
        [
            times(1.5, db, times(-2.0, c, r.add(a, e))),
            times(2.5, d, times(0.5, c, times(-1.0, b, e))),
            times(0.5, d, times(-2.5, c, r.add(b, e))),
            times(2.0, db, ec),
            times(1.5, ec, times(-2.0, d, r.add(b, f))),
            times(-0.5, db, ec),
        ]
    }
}

/// Without −2. The kernel's values are those of long tiles, which are divided by the point's distance from −2. So each
/// row but that of infinity is multiplied by it.
///
/// ```text
/// 1   −2   −1    2    0
/// 0 −3/2  3/2    3    0
/// 0  1/2 −3/2    1    0
/// 0 −5/2    0  5/2    0
/// 0  1/2   −1 −1/2    1
/// ```
impl Transformation<SHORT, SHORT> for Inputs {
    #[inline(always)]
    fn apply<R: Registers>(r: R, [a, b, c, d, e]: [R::Floats; SHORT]) -> [R::Floats; SHORT] {
        let times = |factor: f32, value, sum| r.multiply_add(r.splat(factor), value, sum);
        let (db, ec, zero) = (times(-1.0, b, d), times(-1.0, c, e), r.splat(0.0));
        [
            times(2.0, db, times(-1.0, c, a)),
            times(3.0, d, times(1.5, times(-1.0, b, c), zero)),
            times(0.5, b, times(-1.5, c, d)),
            times(2.5, db, zero),
            times(-0.5, db, ec),
        ]
    }
}

/// A kernel's value at each point, over the value there of the polynomial of [`Inputs`]' row.
pub(super) struct Taps;

impl<const TAPS: usize> Transformation<TAPS, LONG> for Taps {
    #[inline(always)]
    fn apply<R: Registers>(r: R, taps: [R::Floats; TAPS]) -> [R::Floats; LONG] {
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
        [taps[0], one, minus_one, half, taps[TAPS - 1], minus_two]
    }
}

/// Outputs from the points: the powers of each point; infinity counts for the last output.
pub(super) struct Outputs;

impl<const OUTPUTS: usize> Transformation<LONG, OUTPUTS> for Outputs {
    #[inline(always)]
    fn apply<R: Registers>(r: R, [a, b, c, d, e, f]: [R::Floats; LONG]) -> [R::Floats; OUTPUTS] {
        let mut outputs: [R::Floats; OUTPUTS] = Self::apply(r, [a, b, c, d, e]);
        let mut power_of_minus_two = 1.0;
        for output in &mut outputs {
            *output = r.multiply_add(r.splat(power_of_minus_two), f, *output);
            power_of_minus_two *= -2.0;
        }
        outputs
    }
}

impl<const OUTPUTS: usize> Transformation<SHORT, OUTPUTS> for Outputs {
    #[inline(always)]
    fn apply<R: Registers>(r: R, [a, b, c, d, e]: [R::Floats; SHORT]) -> [R::Floats; OUTPUTS] {
        let (even, odd) = (r.add(b, c), r.multiply_add(r.splat(-1.0), c, b));
        let mut outputs = [r.splat(0.0); OUTPUTS];
        let mut power_of_half = 1.0;
        for (output, value) in outputs.iter_mut().enumerate() {
            let ones = if output % 2 == 0 { even } else { odd };
            *value = r.multiply_add(r.splat(power_of_half), d, ones);
            power_of_half *= 0.5;
        }
        outputs[0] = r.add(outputs[0], a);
        outputs[OUTPUTS - 1] = r.add(outputs[OUTPUTS - 1], e);
        outputs
    }
}

/// Transforms the columns of a tile, which is read value by value as `[row, column]`, and then its rows.
#[inline(always)]
pub(super) fn both_ways<
    R: Registers,
    T: Transformation<TALL, DOWN> + Transformation<WIDE, ACROSS>,
    const TALL: usize,
    const DOWN: usize,
    const WIDE: usize,
    const ACROSS: usize,
>(
    registers: R,
    tile: impl Fn(usize, usize) -> R::Floats,
) -> [[R::Floats; ACROSS]; DOWN] {
    // Loops rather than closures: what calls a closure might be compiled without the registers' instructions.
    let mut lines = [[registers.splat(0.0); WIDE]; DOWN];
    for x in 0..WIDE {
        let mut column = [registers.splat(0.0); TALL];
        for (y, value) in column.iter_mut().enumerate() {
            *value = tile(y, x);
        }
        for (line, value) in lines.iter_mut().zip(<T as Transformation<TALL, DOWN>>::apply(registers, column))
        {
            line[x] = value;
        }
    }
    let mut out = [[registers.splat(0.0); ACROSS]; DOWN];
    for (out, line) in out.iter_mut().zip(lines) {
        *out = <T as Transformation<WIDE, ACROSS>>::apply(registers, line);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::array::from_fn;

    use super::*;
    use crate::flex::registers::Four;

    fn assert_filters<const TAPS: usize, const POINTS: usize, const OUTPUTS: usize>()
    where
        Inputs: Transformation<POINTS, POINTS>,
        Outputs: Transformation<POINTS, OUTPUTS>,
    {
        let inputs: [f32; POINTS] = from_fn(|at| [3.0, -7.0, 2.0, 5.0, -4.0, 6.0][at]);
        let taps: [f32; TAPS] = from_fn(|tap| [2.0, -5.0, 3.0, 1.0, -6.0][tap]);
        let inputs_at = Inputs::apply(Four, inputs.map(|value| [value; 4]));
        let taps_at = Taps::apply(Four, taps.map(|value| [value; 4]));
        let products: [[f32; 4]; POINTS] = from_fn(|point| [inputs_at[point][0] * taps_at[point][0]; 4]);
        let outputs: [[f32; 4]; OUTPUTS] = Outputs::apply(Four, products);
        for (at, output) in outputs.iter().enumerate() {
            let direct: f32 = (0..TAPS).map(|tap| inputs[at + tap] * taps[tap]).sum();
            // Tolerance: thirds and fifteenths are rounded.
            assert!((output[0] - direct).abs() < 1e-4, "{TAPS} taps, output {at}: {} {direct}", output[0]);
        }
    }

    #[test]
    fn six_points_filter_with_two_to_five_taps() {
        assert_filters::<2, LONG, 5>();
        assert_filters::<3, LONG, 4>();
        assert_filters::<4, LONG, 3>();
        assert_filters::<5, LONG, 2>();
    }

    #[test]
    fn five_points_filter_with_two_to_four_taps() {
        assert_filters::<2, SHORT, 4>();
        assert_filters::<3, SHORT, 3>();
        assert_filters::<4, SHORT, 2>();
    }
}
