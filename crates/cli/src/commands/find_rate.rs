//! `experiments find-rate`: a learning rate range test.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use alexnet_data::atomic_write;
use alexnet_report::{Curve, Figure};
use alexnet_train::{RatePoint, RateRange, SuggestedRate};
use anyhow::{Result, bail};

use super::analyze::write_figure;
use crate::args::{FindRateArgs, Format};
use crate::data_sets::load_data;
use crate::environment::{changes, environment};
use crate::interrupted::Interrupted;
use crate::machine::Machine;
use crate::output::{note, print};
use crate::own_images;
use crate::remedies::describe_training;

/// `experiments find-rate`.
pub(crate) fn find_rate(args: &FindRateArgs, stop: Arc<AtomicBool>) -> Result<()> {
    if args.from >= args.to {
        bail!("`--from {}` is not below `--to {}`", args.from, args.to);
    }
    let execution = &args.execution;
    let images = execution.data.as_deref();
    let scale = own_images::scale(args.config.as_deref(), images, &args.own, None)?.scale;
    let config = scale.config(&changes(&args.changes)?)?;
    let data = load_data(&config, images)?;
    let machine = Machine::of(&execution.machine)?;
    machine.placement.check_recipe(&config.recipe)?;
    machine.check_images(&data.dataset, execution.upload)?;
    let environment = environment(&machine, execution.ops, execution.workers, execution.upload, false, stop);
    let range = RateRange { from: args.from, to: args.to, steps: args.steps };
    let mut said = Instant::now();
    let mut heard = |step: usize, point: &RatePoint| {
        if said.elapsed().as_secs() >= 5 {
            said = Instant::now();
            note(&format!(
                "step {} of {}: rate {:.1e}, loss {:.3}",
                step + 1,
                args.steps,
                point.rate,
                point.smoothed
            ));
        }
    };
    let points = match range.test(&config, &data, &environment, args.seed, &mut heard) {
        Err(error) if error.is_interruption() => return Err(Interrupted(describe_training(&error)).into()),
        other => other?,
    };
    let suggested = SuggestedRate::of(&points);
    let suggestion = match suggested {
        SuggestedRate::Rate(rate) => Some(rate),
        _ => None,
    };
    let found = serde_json::json!({
        "scale": scale.name, "seed": args.seed, "suggestion": suggestion, "recipe": config.recipe.learning_rate, "points": points,
    });
    if args.output.format == Format::Json {
        print(&serde_json::to_string_pretty(&found)?);
        return Ok(());
    }
    write_figure(&args.out, "find-rate", &drawn(&scale.name, &points, suggestion))?;
    let path = args.out.join("find-rate.json");
    atomic_write(&path, &serde_json::to_vec_pretty(&found)?)?;
    print(&path.display().to_string());
    if let (Some(last), true) = (points.last(), points.len() < args.steps) {
        print(&format!("the loss blew up at a rate of {:.1e}, after {} steps", last.rate, points.len()));
    }
    print(&match suggested {
        SuggestedRate::Rate(rate) => format!(
            "suggested: recipe.learning_rate={} (the scale has {}); compare the two on validation before you rely on it",
            short(rate),
            config.recipe.learning_rate
        ),
        SuggestedRate::NoFall => {
            "the loss falls at none of these rates: try others (`--from`, `--to`), or more `--steps`"
                .to_owned()
        }
        SuggestedRate::StillFalls => {
            format!("the loss still falls at the end of the range: go beyond {} with `--to`", args.to)
        }
    });
    Ok(())
}

/// Rounds a rate to one digit, down.
fn short(rate: f64) -> String {
    if rate < 1e-6 {
        return format!("{rate:.0e}");
    }
    let unit = 10f64.powi(rate.log10().floor() as i32);
    let digit = (rate / unit + 1e-9).floor().max(1.0);
    format!("{}", ((digit * unit) * 1e12).round() / 1e12)
}

fn drawn(scale: &str, points: &[RatePoint], suggestion: Option<f64>) -> alexnet_report::FinishedFigure {
    let first = points.first().map_or(1.0, |point| point.smoothed);
    // A loss that blows up would leave no room for the rest.
    let line = |value: fn(&RatePoint) -> f64| -> Vec<(f64, f64)> {
        let points = points.iter().map(|point| (point.rate, value(point).min(2.0 * first)));
        points.collect()
    };
    let curves = [
        Curve { name: "loss".to_owned(), dashed: false, points: line(|point| point.loss) },
        Curve { name: "smoothed".to_owned(), dashed: false, points: line(|point| point.smoothed) },
    ];
    let mut figure = Figure::new("Learning rate range test");
    figure.curves_over_rates(0.0, "loss of a batch", &curves, suggestion);
    figure.finish(&format!(
        "{scale}: each step has a higher rate than the one before (Smith 2017, §3.3). Dotted: the suggestion, a third of the rate of the \
         smallest smoothed loss.{} Losses above twice the first are drawn there.",
        if suggestion.is_none() { " There is none here." } else { "" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_down_to_one_digit() {
        assert_eq!([0.0123, 0.3, 0.0099, 0.000_047].map(short), ["0.01", "0.3", "0.009", "0.00004"]);
    }
}
