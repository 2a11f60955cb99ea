//! Values that several options take, and their parsers.

use std::ops::RangeInclusive;

use alexnet_data::{Encoding, Upload, Views};
use alexnet_ops::{Implementation, Precision, Tuning};
use alexnet_train::Reduction;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text.
    Text,
    /// One JSON value.
    Json,
}

/// Output format of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PredictFormat {
    /// Text.
    Text,
    /// One JSON value.
    Json,
    /// A line for each class of each image.
    Csv,
    /// A page with a bar for each class.
    Html,
}

/// A parser of one of some values by name, which shell completion offers.
fn either<T: Copy + Send + Sync + 'static, const N: usize>(
    values: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    let names = values.map(|(name, _)| name);
    PossibleValuesParser::new(names).try_map(move |name| {
        let found = values.iter().find(|(value, _)| *value == name);
        found.map(|(_, value)| *value).ok_or("no such value")
    })
}

pub(crate) fn operations() -> impl TypedValueParser<Value = Implementation> {
    either([
        ("fast", Implementation::Fast),
        ("direct", Implementation::Direct),
        ("composed", Implementation::Composed),
    ])
}

pub(crate) fn precision() -> impl TypedValueParser<Value = Precision> {
    either([
        ("device", Precision::Device),
        ("f32", Precision::F32),
        ("tf32", Precision::Tf32),
        ("bf16", Precision::Bf16),
    ])
}

pub(crate) fn upload() -> impl TypedValueParser<Value = Upload> {
    either([("floats", Upload::Floats), ("bytes", Upload::Bytes), ("once", Upload::Once)])
}

pub(crate) fn reduction() -> impl TypedValueParser<Value = Reduction> {
    either([("first", Reduction::First), ("ddp", Reduction::AllReduce)])
}

pub(crate) fn tuning() -> impl TypedValueParser<Value = Tuning> {
    either([("minimal", Tuning::Minimal), ("balanced", Tuning::Balanced), ("full", Tuning::Full)])
}

pub(crate) fn views() -> impl TypedValueParser<Value = Views> {
    either([("1", Views::Centre), ("10", Views::Ten)])
}

pub(crate) fn encoding() -> impl TypedValueParser<Value = Encoding> {
    either([("jpeg", Encoding::Jpeg), ("raw", Encoding::Raw)])
}

/// A time in hours.
pub(crate) fn hours(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(hours) if (0.0..=1e6).contains(&hours) => Ok(hours),
        _ => Err("must be a number of hours of at least 0".to_owned()),
    }
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("must be a whole number of at least {least}")),
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

pub(crate) fn at_least_two(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

fn within(range: RangeInclusive<usize>, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {} to {}", range.start(), range.end())),
    }
}

/// A code length in bits.
pub(crate) fn bits(text: &str) -> Result<usize, String> {
    within(1..=4096, text)
}

/// A side in pixels of a feature map's pixel.
pub(crate) fn zoom(text: &str) -> Result<usize, String> {
    within(1..=256, text)
}

/// A number of images that a picture shows.
pub(crate) fn shown(text: &str) -> Result<usize, String> {
    within(1..=1000, text)
}

/// A number of hidden units, or 0 for no hidden layer.
pub(crate) fn hidden(text: &str) -> Result<usize, String> {
    within(0..=16_384, text)
}

/// A number of hidden units.
pub(crate) fn units(text: &str) -> Result<usize, String> {
    within(1..=16_384, text)
}

/// A number of steps from which a rate can be read.
pub(crate) fn some_steps(text: &str) -> Result<usize, String> {
    at_least(20, text)
}

/// A learning rate.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| *rate > 0.0 && rate.is_finite()).ok_or_else(|| "a number above 0".to_owned())
}

/// A finite number of at least 0.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number >= 0.0 && (number as f32).is_finite() {
        Ok(number)
    } else {
        Err("a number of at least 0".to_owned())
    }
}
