//! Prints all output. No function here panics: a closed terminal, a pipe without a reader or a full disk must
//! not end a run.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The smallest terminal that can show the dashboard, in characters.
const LEAST_COLUMNS: u16 = 40;
const LEAST_ROWS: u16 = 10;

/// The error of reading from or writing to a closed terminal: an input/output error.
const EIO: i32 = 5;

/// The error of a failed write to standard output. It is reported at the end, and nothing else is lost.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// The streams that were terminals when the program started. A closed terminal no longer counts as one.
static TERMINALS: OnceLock<Terminals> = OnceLock::new();

#[derive(Debug, Clone, Copy)]
struct Terminals {
    input: bool,
    output: bool,
    error: bool,
}

impl Terminals {
    fn now() -> Self {
        let (input, output) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
        Self { input, output, error: std::io::stderr().is_terminal() }
    }
}

/// Whether standard error is discarded, because a write to it failed.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Records which streams are terminals. Called once, at the start.
pub(crate) fn begin() {
    let _ = TERMINALS.set(Terminals::now());
}

/// Prints a line to standard output. A reader that has gone away (`| head`) is not an error.
pub(crate) fn print(text: &str) {
    put(&format!("{text}\n"));
}

/// Writes to standard output as [`print()`] does, without a line end.
pub(crate) fn put(text: &str) {
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !is_closed_terminal(&error)
    {
        let _ = UNWRITTEN.set(error.to_string());
    }
}

/// Prints a line to standard error, for people. If the write fails, only this line is lost.
pub(crate) fn note(text: &str) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    // An error about a file may quote its bytes.
    let shown = |letter: char| {
        if letter.is_control() && letter != '\n' && letter != '\t' { '\u{fffd}' } else { letter }
    };
    let text: String = text.chars().map(shown).collect();
    let Err(error) = writeln!(std::io::stderr(), "{text}") else { return };
    // A full disk may be temporary. A reader that is gone stays gone, and libraries that print to it would
    // panic.
    let gone = error.kind() == ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO);
    if gone && !SILENT.swap(true, Ordering::SeqCst) {
        lead_nowhere(Terminals { input: false, output: false, error: true });
    }
}

/// Returns the error of a failed write to standard output.
pub(crate) fn unwritten() -> Option<&'static str> {
    UNWRITTEN.get().map(String::as_str)
}

/// Returns whether the terminal at standard output can show the dashboard.
pub(crate) fn can_show_dashboard() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && moves_cursor() && is_large_enough()
}

/// Returns whether the terminal at standard error can redraw a line, such as a progress bar.
pub(crate) fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && moves_cursor()
}

/// Returns whether the terminal at standard output can be cleared and redrawn.
pub(crate) fn can_redraw_output() -> bool {
    std::io::stdout().is_terminal() && moves_cursor()
}

/// Returns whether `TERM` names a terminal that supports escape codes.
fn moves_cursor() -> bool {
    std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(unix)]
fn is_large_enough() -> bool {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .is_ok_and(|size| size.ws_col >= LEAST_COLUMNS && size.ws_row >= LEAST_ROWS)
}

#[cfg(not(unix))]
fn is_large_enough() -> bool {
    true
}

/// Returns whether the terminal at standard output has been closed.
fn is_closed_terminal(error: &std::io::Error) -> bool {
    cfg!(unix)
        && error.raw_os_error() == Some(EIO)
        && TERMINALS.get().is_some_and(|terminals| terminals.output)
}

/// Redirects streams whose terminal has been closed to nowhere. Libraries that draw and print to it would
/// panic. A panic during the cleanup after another panic ends the process at once. A library that reads keys
/// would read the end of the input forever.
pub(crate) fn leave_closed_terminal() {
    let Some(then) = TERMINALS.get() else { return };
    let now = Terminals::now();
    lead_nowhere(Terminals {
        input: then.input && !now.input,
        output: then.output && !now.output,
        error: then.error && !now.error,
    });
}

#[cfg(unix)]
fn lead_nowhere(streams: Terminals) {
    if let Ok(nowhere) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        if streams.output {
            let _ = rustix::stdio::dup2_stdout(&nowhere);
        }
        if streams.error {
            let _ = rustix::stdio::dup2_stderr(&nowhere);
        }
    }
    if streams.input {
        let _ = read_nothing();
    }
}

/// Replaces standard input by a pipe that is never written to. Reads from it do not block.
#[cfg(unix)]
fn read_nothing() -> std::io::Result<()> {
    static WRITER: OnceLock<std::io::PipeWriter> = OnceLock::new();
    let (reader, writer) = std::io::pipe()?;
    if WRITER.set(writer).is_ok() {
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::stdio::dup2_stdin(&reader)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn lead_nowhere(_: Terminals) {}
