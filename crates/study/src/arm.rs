//! Resolves an ablation and a scale to the configs of its arms.

use alexnet_model::Trace;
use alexnet_train::RunConfig;
use anyhow::{Context, Result, bail};

use crate::ablation::{Ablation, Arm, Change};
use crate::scale::{Scale, changed};
use alexnet_config::Diff;

/// The value of [`Initial::weights`](alexnet_train::Initial) that refers to an ablation's source.
pub(crate) const SOURCE: &str = "source";

/// Returns the config of the source that other arms begin with, if the ablation has one.
///
/// # Errors
/// As [`resolve`].
pub fn source(ablation: &Ablation, scale: &Scale, command_line: &Diff) -> Result<Option<RunConfig>> {
    let Some(arm) = &ablation.source else { return Ok(None) };
    let context = || format!("ablation `{}`, source, scale `{}`", ablation.name, scale.name);
    let scaled = scale.config(&Diff::default())?;
    let config =
        ablation.diffs(arm, &scale.name).iter().try_fold(scaled, |config, diff| changed(&config, diff));
    let config = config.with_context(context)?;
    config.network.trace().with_context(context)?;
    if config.initial.weights == SOURCE {
        bail!("{}: begins with itself", context());
    }
    changed(&config, command_line).context("`--set`").map(Some)
}

/// Returns each arm with its config, the base first.
///
/// # Errors
/// If a key does not exist, a layer does not fit, or an arm changes nothing or more than it declares.
pub fn resolve<'a>(
    ablation: &'a Ablation,
    scale: &Scale,
    command_line: &Diff,
) -> Result<Vec<(&'a Arm, RunConfig)>> {
    let scaled = scale.config(&Diff::default())?;
    let context =
        |arm: &Arm| format!("ablation `{}`, arm `{}`, scale `{}`", ablation.name, arm.name, scale.name);
    let apply = |config: &RunConfig, arm: &Arm| {
        ablation
            .diffs(arm, &scale.name)
            .iter()
            .try_fold(config.clone(), |config, diff| changed(&config, diff))
    };
    let base = apply(&scaled, &ablation.base).with_context(|| context(&ablation.base))?;
    let mut arms = Vec::new();
    for arm in ablation.all() {
        let is_base = std::ptr::eq(arm, &ablation.base);
        let config = if is_base { base.clone() } else { apply(&base, arm).with_context(|| context(arm))? };
        if arm.from_grid && config == base {
            continue;
        }
        let trace = config.network.trace().with_context(|| context(arm))?;
        if !is_base {
            check(arm, &config, &base, &trace).with_context(|| context(arm))?;
        }
        // The command line overrides every arm.
        arms.push((arm, changed(&config, command_line).context("`--set`")?));
    }
    if arms.len() < 2 {
        bail!("ablation `{}`: its grid has no combination but the base itself", ablation.name);
    }
    for (arm, config) in &arms {
        if config.initial.weights == SOURCE && ablation.source.is_none() {
            bail!("{}: begins with the source, but the ablation has no `[source]`", context(arm));
        }
    }
    for (arm, config) in arms.iter().skip(1) {
        if *config == arms[0].1 {
            bail!("{}: equal to the base after `--set`", context(arm));
        }
        config.network.trace().with_context(|| context(arm))?;
    }
    Ok(arms)
}

fn check(arm: &Arm, config: &RunConfig, base: &RunConfig, trace: &Trace) -> Result<()> {
    if config == base {
        bail!("equal to the base: it changes nothing");
    }
    let base = base.network.trace()?;
    if trace.parameters() != base.parameters() && !arm.changes.contains(&Change::Parameters) {
        bail!(
            "has {} parameters where the base has {}; if it must, say `changes = [\"parameters\"]`",
            trace.parameters(),
            base.parameters(),
        );
    }
    let sizes = base.map_sizes();
    let other = trace.map_sizes().into_iter().find_map(|(layer, size)| {
        let (_, before) = sizes.iter().find(|(name, _)| *name == layer)?;
        (*before != size).then_some((layer, *before, size))
    });
    if let (Some((layer, before, after)), false) = (other, arm.changes.contains(&Change::MapSizes)) {
        bail!(
            "`{layer}` gives maps of {after}×{after} where the base gives {before}×{before}; \
             if it must, say `changes = [\"map-sizes\"]`"
        );
    }
    Ok(())
}
