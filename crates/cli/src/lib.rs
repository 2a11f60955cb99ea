//! The command line of `experiments`.

mod args;
mod batch;
mod cache;
mod classes;
mod commands;
#[cfg(test)]
mod commands_page;
#[cfg(test)]
mod config_page;
mod config_schema;
mod contact_sheet;
mod data_sets;
mod drawings;
mod environment;
mod first_layer;
mod gpu_kernels;
mod interrupted;
mod loaded;
mod machine;
mod observer;
mod output;
mod own_images;
mod program;
mod remedies;
mod run_page;
mod shell;
mod trained;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use alexnet_train::{Unexpected, catch, keep_panics};

use crate::interrupted::{Interrupted, STOP};
use crate::output::note;
pub use crate::program::Program;
use crate::remedies::describe;
pub use alexnet_config::BuiltIn;

const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// The exit code that a shell reports for a command that a signal ended.
const INTERRUPTED: u8 = 130;

/// Runs the command line of this process.
pub fn main(program: Program) -> ExitCode {
    program::set(program);
    // This comes before any thread. Otherwise the signal thread, and then all threads, would have their own
    // heaps.
    alexnet_ops::keep_memory();
    output::begin();
    keep_panics(output::leave_closed_terminal);
    let stop = STOP.clone();
    let seen = stop.clone();
    // A second signal ends the process at once. Nothing is lost, because every file is complete. A signal
    // right after the first counts as the same: a scheduler may send it to every process of a job while the
    // job's script also forwards it.
    let mut first: Option<Instant> = None;
    let _ = ctrlc::set_handler(move || {
        // This comes before any output, because the signal may mean that the terminal is gone.
        seen.store(true, Ordering::SeqCst);
        output::leave_closed_terminal();
        if first.is_some_and(|first| first.elapsed() >= SAME_SIGNAL) {
            std::process::exit(INTERRUPTED.into());
        }
        if first.is_none() {
            note("stopping at the next step; once more to stop at once");
        }
        first = first.or(Some(Instant::now()));
    });
    let cli = args::parse();
    match catch(|| commands::run(cli, stop)) {
        Ok(Ok(code)) => match output::unwritten() {
            None => code,
            Some(problem) => {
                note(&format!("error: cannot write standard output: {problem}"));
                ExitCode::FAILURE
            }
        },
        Ok(Err(error)) if error.is::<Interrupted>() => {
            note(&error.to_string());
            ExitCode::from(INTERRUPTED)
        }
        Ok(Err(error)) => {
            note(&format!("error: {}", describe(&error)));
            ExitCode::FAILURE
        }
        Err(Unexpected { message, place, report }) => {
            note(&format!(
                "error: unexpected failure at {place}: {message}; please report this with what \
                 RUST_BACKTRACE=1 adds"
            ));
            if std::env::var_os("RUST_BACKTRACE").is_some() {
                note(&report);
            }
            ExitCode::FAILURE
        }
    }
}
