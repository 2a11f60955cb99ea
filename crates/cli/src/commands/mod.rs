//! The commands and their implementations.

mod ablation;
pub(crate) mod analyze;
mod audit;
mod bench;
mod bench_data;
mod config;
mod data;
mod data_show;
mod doctor;
mod evaluate;
mod evaluate_weights;
pub(crate) mod fetch;
mod figures;
mod find_rate;
mod label;
mod list;
mod model;
mod predict;
mod prepared;
mod report;
mod runs;
mod slurm;
mod train;
mod tune;
mod watch;
mod weights;
mod work;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use alexnet_ops::SimdLevel;
use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Cli, Command, DataCommand, RunsCommand, SubmitCommand, WeightsCommand};
use crate::data_sets::manifest;
use crate::output::print;

/// Runs a command.
pub(crate) fn run(cli: Cli, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    SimdLevel::of_environment()?;
    match cli.command {
        Command::Ablation(args) => return ablation::ablation(&args, stop),
        Command::Audit(args) => return audit::audit(&args, stop),
        Command::Train(args) => train::train(&args, stop)?,
        Command::FindRate(args) => find_rate::find_rate(&args, stop)?,
        Command::Evaluate(args) => evaluate::evaluate(&args, stop)?,
        Command::Report(args) => report::report(&args)?,
        Command::Power(args) => report::power(&args)?,
        Command::Runs(RunsCommand::List { folder, tag, output }) => {
            runs::list(&folder, tag.as_deref(), output.format)?;
        }
        Command::Runs(RunsCommand::Label { runs, label }) => label::label(&runs, &label)?,
        Command::Runs(RunsCommand::Show { run, output }) => runs::show(&run, output.format)?,
        Command::Runs(RunsCommand::Diff { one, other, output }) => runs::diff(&one, &other, output.format)?,
        Command::Watch(args) => watch::watch(&args, &stop)?,
        Command::Submit(SubmitCommand::Slurm(args)) => ablation::submit(&args, stop)?,
        Command::Work(args) => ablation::work_for_another(&args, stop)?,
        Command::List => list::list(),
        Command::Config(command) => config::config(&command)?,
        Command::Model(args) => model::model(&args)?,
        Command::Weights(WeightsCommand::Inspect { file, output }) => weights::inspect(&file, output.format)?,
        Command::Weights(WeightsCommand::Import { file, origin, out }) => {
            weights::import(&file, &origin, &out)?;
        }
        Command::Weights(WeightsCommand::Export { file, origin, out, names, half, prepare }) => {
            let how = weights::Written { names, half, prepare };
            weights::export(&file, &origin, &out, how)?;
        }
        Command::Analyze(command) => analyze::analyze(command, &stop)?,
        Command::Figures(args) => figures::figures(&args, &stop)?,
        Command::Predict(args) => predict::predict(&args, &stop)?,
        Command::Bench(args) => bench::bench(&args)?,
        Command::Tune(args) => tune::tune(&args, &stop)?,
        Command::Doctor { output } => doctor::doctor(output.format)?,
        Command::Data(DataCommand::Fetch { name }) => fetch::fetch(&manifest(&name)?, &stop)?,
        Command::Data(DataCommand::Prepare(args)) => data::run_prepare(&args, &stop)?,
        Command::Data(DataCommand::Check(args)) => data::run_check(&args, &stop)?,
        Command::Data(DataCommand::Stats(args)) => data::run_stats(&args, &stop)?,
        Command::Data(DataCommand::Show(args)) => data_show::run_show(&args)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "experiments", &mut script);
            print(String::from_utf8_lossy(&script).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}
