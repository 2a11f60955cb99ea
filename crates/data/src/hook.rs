//! Stops, holds or aborts the process at chosen moments, so that no test has to sleep until one comes.
//!
//! The environment variable `ALEXNET_BURN_HOOK` is read here and nowhere else:
//!
//! | value | effect |
//! |---|---|
//! | `stop=N` | after N steps the stop flag is set, as by Ctrl-C |
//! | `hold=N` | after N steps the line `held` is written to standard error, and the process waits until its stop flag is set or it is killed |
//! | `hold=N,FILE` | the same, but only while FILE exists |
//! | `crash=N` | after the Nth durable change to a file the process aborts |
//!
//! A step is a batch that is trained, validated or tested, or a shard that is prepared. A durable change is a file
//! written and synced, a rename, or a removal.

use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const VARIABLE: &str = "ALEXNET_BURN_HOOK";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hook {
    Stop(usize),
    Hold(usize, Option<PathBuf>),
    Crash(usize),
}

static HOOK: LazyLock<Option<Hook>> = LazyLock::new(|| {
    let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
    // A test with a mistyped hook must not pass.
    Some(parse(&text).unwrap_or_else(|| panic!("{VARIABLE}={text} is no hook")))
});
static STEPS: AtomicUsize = AtomicUsize::new(0);
static CHANGES: AtomicUsize = AtomicUsize::new(0);

fn parse(text: &str) -> Option<Hook> {
    let (what, rest) = text.split_once('=')?;
    let (count, file) = rest.split_once(',').map_or((rest, None), |(count, file)| (count, Some(file)));
    let count = count.parse().ok()?;
    match (what, file) {
        ("stop", None) => Some(Hook::Stop(count)),
        ("hold", file) => Some(Hook::Hold(count, file.map(PathBuf::from))),
        ("crash", None) => Some(Hook::Crash(count)),
        _ => None,
    }
}

/// Records that a step is done. `stop` is the flag that ends the work.
pub fn step(stop: &AtomicBool) {
    let Some(hook) = &*HOOK else { return };
    let steps = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    match hook {
        Hook::Stop(at) if steps == *at => stop.store(true, Ordering::SeqCst),
        Hook::Hold(at, file) if steps == *at => {
            let holds = || !stop.load(Ordering::SeqCst) && file.as_ref().is_none_or(|file| file.exists());
            if holds() {
                let _ = writeln!(std::io::stderr(), "held"); // a test that has gone away needs no line
            }
            while holds() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        _ => {}
    }
}

/// Records that a change to a file is durable: written and synced, renamed, or removed.
pub fn changed() {
    let Some(Hook::Crash(at)) = &*HOOK else { return };
    if CHANGES.fetch_add(1, Ordering::SeqCst) + 1 == *at {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_has_a_name_and_a_count() {
        assert_eq!(parse("stop=3"), Some(Hook::Stop(3)));
        assert_eq!(parse("hold=12"), Some(Hook::Hold(12, None)));
        assert_eq!(parse("hold=2,a/b"), Some(Hook::Hold(2, Some("a/b".into()))));
        assert_eq!(parse("crash=1"), Some(Hook::Crash(1)));
        for text in ["", "stop", "stop=", "stop=x", "leap=1", "stop=1,a"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
