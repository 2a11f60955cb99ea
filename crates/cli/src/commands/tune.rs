//! `experiments tune`: tries out the GPU kernels of a network.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use alexnet_model::Preset;
use alexnet_ops::{Implementation, KeptKernels};
use alexnet_train::{UpdateRule, WarmUp};
use anyhow::{Result, bail};

use crate::args::TuneArgs;
use crate::gpu_kernels::{self, Trial};
use crate::interrupted::Interrupted;
use crate::machine::{Machine, precision_missing};
use crate::output::print;

/// `experiments tune`.
pub(crate) fn tune(args: &TuneArgs, stop: &AtomicBool) -> Result<()> {
    let network = Preset::load(&args.preset)?;
    let machine = Machine::of(&args.machine)?;
    if !machine.tunes_kernels() {
        bail!(
            "`{}` has no kernels to try out; name a GPU with `--backend`, in a build with its feature or `autotune`",
            machine.names()
        );
    }
    machine.placement.check(&network)?;
    let precision = args.precision.precision;
    precision.check(machine.placement.first()).map_err(precision_missing)?;
    let begun = Instant::now();
    let warm_up = WarmUp {
        network: &network,
        placement: &machine.placement,
        rule: UpdateRule::default(),
        operations: Implementation::Fast,
        precision,
        training: vec![args.batch],
        evaluation: vec![args.batch],
    };
    let trial = Trial::begin();
    let outcome = warm_up.run(stop, &|what, done| {
        if done < 1.0 {
            trial.shows(what, done);
        }
    });
    drop(trial);
    match outcome {
        Err(error) if error.is_interruption() => {
            return Err(Interrupted("interrupted; what was tried out so far is kept".to_owned()).into());
        }
        other => other?,
    }
    let seconds = begun.elapsed().as_secs_f64();
    print(&format!("{}: kernels of {} images ready after {seconds:.1} s", network.name, args.batch));
    match gpu_kernels::keep(args.machine.tune) {
        KeptKernels::File(path) => print(&format!(
            "{}: kept in this folder; a copy of it serves machines of the same kind",
            path.parent().unwrap_or(path).display()
        )),
        KeptKernels::AsConfigured(path) => print(&format!("kept where {} says", path.display())),
        KeptKernels::Nowhere => {}
    }
    Ok(())
}
