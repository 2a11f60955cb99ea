//! Shows runs in progress from their files alone, whichever process or machine works on them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alexnet_train::spoken;
use anyhow::Result;

use super::runs::{State, Summary, folders};
use crate::args::WatchArgs;
use crate::output::{can_redraw_output, print, put};
use crate::remedies::describe;

/// Prints the runs in progress. In a terminal, repeats this until it is interrupted.
pub(crate) fn watch(args: &WatchArgs, stop: &AtomicBool) -> Result<()> {
    let once = args.once || !can_redraw_output();
    loop {
        let text = text(&folders(&args.folder)?);
        if once {
            print(text.trim_end());
            return Ok(());
        }
        // Moves the cursor home, prints the text and clears the rest of each line, then clears everything
        // below.
        put(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")));
        let next = Instant::now() + Duration::from_secs(args.every.max(1));
        while Instant::now() < next {
            if stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn text(found: &[PathBuf]) -> String {
    let (mut counts, mut lines) = ([0usize; 4], Vec::new());
    for folder in found {
        let run = match Summary::of(folder) {
            Ok(run) => run,
            Err(error) => {
                lines.push(format!("{}: {}", folder.display(), describe(&error)));
                continue;
            }
        };
        counts[run.state as usize] += 1;
        match run.state {
            State::Running => lines.push(line(&run)),
            State::Failed => {
                lines.push(format!("{}: failed: {}", run.run, run.failure.as_deref().unwrap_or_default()));
            }
            State::Finished | State::Stopped => {}
        }
    }
    let [finished, running, failed, stopped] = counts;
    format!(
        "{finished} finished, {running} running, {failed} failed, {stopped} stopped\n{}\n",
        lines.join("\n")
    )
}

/// Returns the line of a run: `[=====     ] 4/8  12.30 %  about 2 min left  mini-…`
fn line(run: &Summary) -> String {
    const WIDTH: usize = 16;
    let filled = (WIDTH * run.epochs / run.of_epochs.max(1)).min(WIDTH);
    let error = run.validation_top1_error.map_or("   -  ".to_owned(), |error| format!("{error:5.2} %"));
    let left = match run.epochs {
        0 => format!("begun {} ago", spoken(Duration::from_secs_f64(run.quiet_seconds))),
        epochs => {
            let an_epoch = run.seconds / epochs as f64;
            let left = an_epoch * (run.of_epochs - epochs) as f64 - run.quiet_seconds;
            format!("{} left", spoken(Duration::from_secs_f64(left.max(0.0))))
        }
    };
    format!(
        "[{}{}] {:>3}/{:<3} {error}  {left:<16} {}",
        "=".repeat(filled),
        " ".repeat(WIDTH - filled),
        run.epochs,
        run.of_epochs,
        run.run,
    )
}
