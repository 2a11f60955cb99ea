//! Panics: the message, the place, and a report for developers.

use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// A panic of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// The first line of its message.
    pub message: String,
    /// The source file and line, if they are known.
    pub place: String,
    /// The message, place, thread and backtrace.
    pub report: String,
}

/// The newest panic. It is not thread-local, because a thread pool's panic is caught on another thread.
static LAST: Mutex<Option<Unexpected>> = Mutex::new(None);

/// Stores the message of a panic for [`catch`] instead of printing it. The code that catches it reports it
/// once, as one line. `first` runs before anything else, and before the panic unwinds.
pub fn keep_panics(first: fn()) {
    std::panic::set_hook(Box::new(move |panic| {
        first();
        let unexpected = describe(panic);
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(unexpected);
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> Unexpected {
    let text = message(panic.payload()).to_owned();
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
    let backtrace = Backtrace::force_capture();
    let report = format!("{text}\nat {place}, thread {thread}\n\n{backtrace}\n");
    Unexpected { message: text.lines().next().unwrap_or_default().to_owned(), place, report }
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Runs `work`, which may panic. Burn and drivers panic when they fail.
///
/// # Errors
/// If it panicked.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Unexpected> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = message(&*payload);
        let kept = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.unwrap_or_else(|| Unexpected {
            message: text.lines().next().unwrap_or_default().to_owned(),
            place: "an unknown place".to_owned(),
            report: format!("{text}\n"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_message() {
        let caught = catch(|| panic!("{} went wrong\nin two lines", "it")).unwrap_err();
        assert_eq!(caught.message, "it went wrong");
        assert!(caught.report.contains("in two lines"));
        assert_eq!(catch(|| 3), Ok(3));
    }
}
