//! All that is printed. Nothing here panics: a closed terminal, a pipe whose reader has gone away and a full disk are no
//! reason to lose a run.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The least that the dashboard needs to show something, in characters.
const LEAST_COLUMNS: u16 = 40;
const LEAST_ROWS: u16 = 10;

/// Reading from and writing to a closed terminal is an input/output error.
const EIO: i32 = 5;

/// Why standard output could not be written, if it could not: reported at the end, with which nothing else is lost.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Which streams were terminals when the program began: a terminal that is closed is none any more.
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

/// Whether standard error leads nowhere, since it could not be written.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Notes which streams are terminals. Called once, at the start.
pub(crate) fn begin() {
    let _ = TERMINALS.set(Terminals::now());
}

/// Prints a line to standard output; a reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) {
    put(&format!("{text}\n"));
}

/// Writes to standard output as [`print()`] does, without the end of a line.
pub(crate) fn put(text: &str) {
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !is_closed_terminal(&error)
    {
        let _ = UNWRITTEN.set(error.to_string());
    }
}

/// Prints a line to standard error, for people: where it is lost, so is the line alone.
pub(crate) fn note(text: &str) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    let Err(error) = writeln!(std::io::stderr(), "{text}") else { return };
    // A disk that is full now may not be later; a reader that is gone stays away, and libraries that print would panic.
    let gone = error.kind() == ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO);
    if gone && !SILENT.swap(true, Ordering::SeqCst) {
        lead_nowhere(Terminals { input: false, output: false, error: true });
    }
}

/// Why standard output could not be written, if it could not.
pub(crate) fn unwritten() -> Option<&'static str> {
    UNWRITTEN.get().map(String::as_str)
}

/// Whether the terminal at standard output can show the dashboard.
pub(crate) fn can_show_dashboard() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && moves_cursor() && is_large_enough()
}

/// Whether the terminal at standard error can redraw a line, such as a progress bar.
pub(crate) fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && moves_cursor()
}

/// Whether the terminal at standard output can be cleared and drawn again.
pub(crate) fn can_redraw_output() -> bool {
    std::io::stdout().is_terminal() && moves_cursor()
}

/// Whether `TERM` names a terminal that heeds escape codes.
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

/// Whether the terminal at standard output has been closed.
fn is_closed_terminal(error: &std::io::Error) -> bool {
    cfg!(unix)
        && error.raw_os_error() == Some(EIO)
        && TERMINALS.get().is_some_and(|terminals| terminals.output)
}

/// Leads streams nowhere whose terminal has been closed. Libraries that draw and print there would panic, some of them
/// while they clean up after a panic, which ends the process at once; and one that reads keys would read the end of the
/// input for ever.
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

/// Standard input becomes a pipe that is never written to, and whose readers do not wait.
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
