//! Axes: linear or logarithmic, with their ticks.

/// The approximate number of ticks of an axis.
const TICKS: f64 = 7.0;

/// The values of an axis, from one end to the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// The values that have a tick.
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// Creates a linear axis from the lowest to the highest of these values.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values).unwrap_or((0.0, 1.0));
        let high = if low < high { high } else { low + 1.0 };
        Self { low, high, logarithmic: false, ticks: spaced(low, high, step(low, high)) }
    }

    /// Creates a linear axis that contains these values and has a tick at each end.
    pub(crate) fn rounded(values: impl IntoIterator<Item = f64>) -> Self {
        let Self { low, high, .. } = Self::linear(values);
        let step = step(low, high);
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Self { low, high, logarithmic: false, ticks: spaced(low, high, step) }
    }

    /// Creates a logarithmic axis over the positive ones of these values.
    pub(crate) fn logarithmic(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values.into_iter().filter(|&value| value > 0.0)).unwrap_or((1.0, 10.0));
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, low * 2.0) };
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
        let mut ticks: Vec<f64> = ticks.filter(|tick| (low..=high).contains(tick)).collect();
        // Over several decades only the powers of ten have room.
        if ticks.len() > 8 {
            let is_power = |tick: &f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
            ticks.retain(is_power);
        }
        if ticks.len() < 3 {
            ticks = spaced(low, high, step(low, high));
        }
        Self { low, high, logarithmic: true, ticks }
    }

    /// Returns the position of a value: 0 at the low end, 1 at the high end. A value beyond an end is there.
    pub(crate) fn share(&self, value: f64) -> f64 {
        let scaled = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let [low, high, value] = [self.low, self.high, value].map(scaled);
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// Returns the lowest and the highest finite value.
fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let pairs = values.into_iter().filter(|value| value.is_finite()).map(|value| (value, value));
    pairs.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// Returns the distance between ticks: 1, 2 or 5 times a power of ten.
fn step(low: f64, high: f64) -> f64 {
    let raw = (high - low) / TICKS;
    let power = 10f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    steps.into_iter().find(|&step| step >= raw * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// Returns the multiples of `step` from `low` to `high`.
fn spaced(low: f64, high: f64, step: f64) -> Vec<f64> {
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|tick| tick as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside_the_axis() {
        assert_eq!(Axis::linear([1.0, 30.0]).ticks, [5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(Axis::linear([-1.2, 0.6]).ticks, [-1.0, -0.5, 0.0, 0.5]);
        let rounded = Axis::rounded([17.0, 43.0]);
        assert_eq!(rounded.ticks, [15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0]);
        assert_eq!([15.0, 30.0, 45.0, 60.0].map(|value| rounded.share(value)), [0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn logarithmic_axes_pass_over_what_is_not_positive() {
        let axis = Axis::logarithmic([0.0, -3.0, 1.0, 100.0]);
        assert_eq!(axis.ticks, [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
        assert_eq!([axis.share(0.0), axis.share(-3.0), axis.share(100.0)], [0.0, 0.0, 1.0]);
        assert_eq!(Axis::logarithmic([21.0, 48.0]).ticks, [25.0, 30.0, 35.0, 40.0, 45.0]);
    }

    #[test]
    fn axes_of_no_or_one_value_have_an_extent() {
        for axis in [
            Axis::linear([]),
            Axis::rounded([f64::NAN]),
            Axis::logarithmic([0.0]),
            Axis::linear([3.0]),
            Axis::rounded([3.0, 3.0]),
            Axis::logarithmic([3.0]),
        ] {
            assert!(axis.ticks.len() >= 3, "{axis:?}");
            assert!(axis.share(3.0).is_finite(), "{axis:?}");
        }
    }
}
