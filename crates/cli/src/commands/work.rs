//! Trains the tasks of a study, in this process or in several at once.
//!
//! With `--jobs N`, this process trains and starts N − 1 others, `experiments work FOLDER`, each on its share
//! of the processor. It writes task numbers to their standard input and reads events, one line of JSON each,
//! from their standard output. Their messages to people are in `logs/job-N.log`. If a process dies, only its
//! current task is lost. Results do not depend on which process trains a task, because every draw of a run
//! has its own key.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use alexnet_train::{Data, Environment, EpochRow, Failure, Observer};
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use alexnet_study::{Clock, Study, Task};

use crate::interrupted::Interrupted;
use crate::observer::epoch_line;
use crate::output::{note, print};
use crate::remedies::describe_training;

/// An event that a worker process reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Event {
    /// Data and device are ready.
    Ready,
    /// A line for people.
    Line(String),
    /// A task's label and its completed fraction.
    Progress(String, f64),
    End(End),
}

/// The outcome of a task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    Finished,
    Failed(String),
    Interrupted(String),
}

/// Everything that training needs besides the study.
pub(crate) struct Plan<'a> {
    pub(crate) study: &'a Study,
    /// The tasks to execute, by their index.
    pub(crate) tasks: Vec<usize>,
    /// The study's folder.
    pub(crate) folder: &'a Path,
    pub(crate) out: &'a Path,
    pub(crate) data: &'a Data,
    pub(crate) environment: &'a Environment,
    pub(crate) clock: Arc<Clock>,
    pub(crate) fresh: bool,
    pub(crate) jobs: usize,
    /// The thread pool of this process, if it is one of several. A thread stays in one pool forever.
    pub(crate) pool: &'a OnceLock<rayon::ThreadPool>,
    /// The arguments with which another process of this program does the same: data, backend and so on.
    pub(crate) arguments: Vec<String>,
}

/// Executes tasks. Returns the number of failed tasks. Each of them has reported its reason and stored it in
/// its folder.
///
/// # Errors
/// If training was interrupted, or its processes cannot be started.
pub(crate) fn train(plan: &Plan<'_>) -> Result<usize> {
    let tasks = plan.study.tasks();
    let jobs = plan.jobs.min(plan.tasks.len()).max(1);
    let queue = Queue(Mutex::new(plan.tasks.iter().copied().collect()));
    let failures = AtomicUsize::new(0);
    let failed = |task: usize, why: String| {
        say(plan.environment, &format!("{}: failed: {why}", tasks[task].label));
        failures.fetch_add(1, Ordering::SeqCst);
    };
    let here = || -> Result<()> {
        while let Some(task) = queue.next() {
            check_stop(plan)?;
            match plan.study.train(&tasks[task], plan.data, plan.environment, plan.out, plan.fresh) {
                Err(error) if error.is_interruption() => {
                    return Err(Interrupted(describe_training(&error)).into());
                }
                Err(error) => failed(task, describe_training(&error)),
                Ok(()) => {}
            }
            plan.clock.update(&tasks[task].label, 1.0);
        }
        Ok(())
    };
    if jobs == 1 {
        here()?;
        return Ok(failures.into_inner());
    }
    let threads = (std::thread::available_parallelism().map_or(1, usize::from) / jobs).max(1);
    let (tasks, queue, failed) = (&tasks, &queue, &failed);
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let others: Vec<_> = (2..=jobs)
            .map(|job| scope.spawn(move || elsewhere(plan, tasks, job, threads, queue, failed)))
            .collect();
        let own = own_pool(plan, threads).and_then(|()| here());
        let join = |other: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            other.join().unwrap_or_else(|_| Err(anyhow!("a thread failed unexpectedly")))
        };
        let mut outcomes: Vec<_> = std::iter::once(own).chain(others.into_iter().map(join)).collect();
        // A job that did not start returned its task, possibly after this one's queue was empty.
        if outcomes.iter().all(Result::is_ok) {
            outcomes.push(here());
        }
        outcomes
    });
    outcomes.into_iter().collect::<Result<()>>()?;
    Ok(failures.into_inner())
}

/// Adds this thread to a new pool of `threads` threads, if it is not in one yet. With one thread, no work has
/// to be handed to another.
fn own_pool(plan: &Plan<'_>, threads: usize) -> Result<()> {
    if plan.pool.get().is_none() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build();
        let _ = plan.pool.set(pool.map_err(|error| anyhow!("cannot start threads: {error}"))?);
    }
    Ok(())
}

/// Returns an error if a stop was requested. Called before a task begins, when none of it can be interrupted.
fn check_stop(plan: &Plan<'_>) -> Result<()> {
    match plan.environment.stop.load(Ordering::SeqCst) {
        true => Err(Interrupted("interrupted; the same command goes on with the next run".to_owned()).into()),
        false => Ok(()),
    }
}

/// Executes tasks in another process. Starts a new process if one dies during a task.
fn elsewhere(
    plan: &Plan<'_>,
    tasks: &[Task],
    job: usize,
    threads: usize,
    queue: &Queue,
    failed: &(dyn Fn(usize, String) + Sync),
) -> Result<()> {
    let mut worker: Option<Worker> = None;
    while let Some(task) = queue.next() {
        check_stop(plan)?;
        let running = match worker.take() {
            Some(worker) => Ok(worker),
            None => Worker::start(plan, job, threads),
        };
        let mut running = match running {
            Ok(running) => running,
            Err(error) => {
                queue.back(task);
                say(plan.environment, &format!("job {job} does not start: {error:#}"));
                return Ok(()); // the others do its share
            }
        };
        match running.train(task, plan) {
            Some(End::Finished) => worker = Some(running),
            Some(End::Failed(why)) => {
                failed(task, why);
                worker = Some(running);
            }
            Some(End::Interrupted(why)) => return Err(Interrupted(why).into()),
            None => {
                check_stop(plan)?;
                let status = running.child.wait().map_or_else(|error| error.to_string(), |s| s.to_string());
                let log = log_path(plan.folder, job);
                let why = format!("its process ended ({status}); see {}", log.display());
                if !running.ready {
                    queue.back(task);
                    say(plan.environment, &format!("job {job} does not start: {why}"));
                    return Ok(());
                }
                // The process could not do so itself.
                Failure::new(&why).keep(&plan.out.join(&tasks[task].folder));
                failed(task, why);
            }
        }
        plan.clock.update(&tasks[task].label, 1.0);
    }
    Ok(())
}

/// The numbers of the tasks that have not begun.
struct Queue(Mutex<VecDeque<usize>>);

impl Queue {
    fn next(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Returns a task that did not begin to the queue.
    fn back(&self, task: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_front(task);
    }
}

fn log_path(folder: &Path, job: usize) -> PathBuf {
    folder.join("logs").join(format!("job-{job}.log"))
}

/// Opens the log of a job for appending to the output of earlier processes.
pub(crate) fn begin_log(folder: &Path, job: usize) -> Result<File> {
    let path = log_path(folder, job);
    let cannot = || format!("cannot write {}", path.display());
    std::fs::create_dir_all(folder.join("logs")).with_context(cannot)?;
    File::options().create(true).append(true).open(&path).with_context(cannot)
}

/// Another process that trains for this one.
struct Worker {
    child: Child,
    events: Receiver<Event>,
    /// Whether the process has loaded its data and device.
    ready: bool,
}

impl Worker {
    fn start(plan: &Plan<'_>, job: usize, threads: usize) -> Result<Self> {
        let log = begin_log(plan.folder, job)?;
        let program = std::env::current_exe().context("this program's own file")?;
        let mut command = Command::new(program);
        command.arg("work").arg(plan.folder).args(["--threads", &threads.to_string()]).args(&plan.arguments);
        if plan.fresh {
            command.arg("--fresh");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().context("cannot start another process")?;
        let output = child.stdout.take().context("a process without output")?;
        let (send, events) = channel();
        std::thread::spawn(move || forward(output, &send));
        Ok(Self { child, events, ready: false })
    }

    /// Executes a task. Returns its outcome, or `None` if the process ended.
    fn train(&mut self, task: usize, plan: &Plan<'_>) -> Option<End> {
        writeln!(self.child.stdin.as_mut()?, "{task}").ok()?;
        loop {
            match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(Event::Ready) => self.ready = true,
                Ok(Event::Line(line)) => say(plan.environment, &line),
                Ok(Event::Progress(label, done)) => drop(plan.clock.update(&label, done)),
                Ok(Event::End(end)) => return Some(end),
                Err(RecvTimeoutError::Disconnected) => return None,
                // The end of its input tells the process to stop.
                Err(RecvTimeoutError::Timeout) if plan.environment.stop.load(Ordering::SeqCst) => {
                    drop(self.child.stdin.take());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn forward(output: ChildStdout, send: &std::sync::mpsc::Sender<Event>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str(&line) else { continue };
        if send.send(event).is_err() {
            return;
        }
    }
}

/// Prints a line if there is no dashboard. With one, the logs and the table have the same information.
fn say(environment: &Environment, line: &str) {
    if !environment.dashboard {
        note(line);
    }
}

/// Sends events to the process that this one trains for.
struct Reporter {
    last: Mutex<Instant>,
}

fn tell(event: &Event) {
    let text = serde_json::to_string(event).expect("plain values");
    print(&text);
}

impl Observer for Reporter {
    fn progress(&self, label: &str, done: f64) -> Option<Duration> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= Duration::from_secs(1) {
            *last = Instant::now();
            tell(&Event::Progress(label.to_owned(), done));
        }
        None
    }

    fn warming_up(&self, what: &str, done: f64) {
        if done < 1.0 {
            self.note(&format!("trying out the GPU kernels of {what}"));
        }
    }

    fn epoch(&self, label: &str, rows: &[EpochRow]) {
        self.note(&epoch_line(label, rows));
    }

    fn note(&self, text: &str) {
        note(text);
        tell(&Event::Line(text.to_owned()));
    }
}

/// Executes the tasks whose numbers arrive on standard input. The end of the input means stop.
pub(crate) fn serve(
    study: &Study,
    out: &Path,
    data: &Data,
    environment: Environment,
    fresh: bool,
) -> Result<()> {
    let environment =
        Environment { observer: Arc::new(Reporter { last: Mutex::new(Instant::now()) }), ..environment };
    tell(&Event::Ready);
    let (send, numbers) = channel();
    let stop = environment.stop.clone();
    std::thread::spawn(move || read_numbers(&send, &stop));
    let tasks = study.tasks();
    for number in numbers {
        let task = tasks.get(number).with_context(|| format!("there is no task {number}"))?;
        tell(&Event::End(match study.train(task, data, &environment, out, fresh) {
            Ok(()) => End::Finished,
            Err(error) if error.is_interruption() => End::Interrupted(describe_training(&error)),
            Err(error) => End::Failed(describe_training(&error)),
        }));
    }
    Ok(())
}

fn read_numbers(send: &std::sync::mpsc::Sender<usize>, stop: &AtomicBool) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let Ok(number) = line.trim().parse() else { break };
        if send.send(number).is_err() {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
}

/// Executes one task of a study in this process, as a job of an array does.
pub(crate) fn one(
    study: &Study,
    task: usize,
    out: &Path,
    data: &Data,
    environment: &Environment,
) -> Result<()> {
    let tasks = study.tasks();
    let Some(task) = tasks.get(task) else {
        bail!("there is no task {task}; the study has {}, counted from 0", tasks.len());
    };
    match study.train(task, data, environment, out, false) {
        Err(error) if error.is_interruption() => Err(Interrupted(describe_training(&error)).into()),
        other => Ok(other?),
    }
}
