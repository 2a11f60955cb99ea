//! `experiments`: ablations of AlexNet from the command line.

mod ablation;
mod arm;
mod cli;
mod commands;
mod curves;
mod diff;
mod fetch;
mod library;
mod report;
mod scale;
mod statistics;
mod study;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use crate::commands::Interrupted;

/// What a shell gives for a command that a signal ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // A panic is reported as one line by whoever catches it; its own message would come twice.
    std::panic::set_hook(Box::new(|_| {}));
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    // The second signal ends the process at once; nothing is lost, since every file is whole.
    let _ = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        eprintln!("stopping at the next step; once more to stop at once");
    });
    let cli = cli::Cli::parse();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| commands::run(cli, stop)));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) if error.is::<Interrupted>() => {
            eprintln!("{error}");
            ExitCode::from(INTERRUPTED)
        }
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
            eprintln!("error: the program failed unexpectedly: {text}; please report this");
            ExitCode::FAILURE
        }
    }
}
