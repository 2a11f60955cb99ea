//! An ablation as a SLURM job array: one job per run, in the shared folder that `--out` names.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::args::{Format, SlurmArgs};
use crate::output::print;
use crate::shell::quoted;
use alexnet_study::Study;

/// The maximum number of restarts of a run. A run that is stopped more often has another problem.
const RESTARTS: usize = 100;

/// Writes `slurm.sh` into the study's folder and submits it.
pub(crate) fn submit(args: &SlurmArgs, study: &Study, folder: &Path, arguments: &[String]) -> Result<()> {
    let Format::Text = args.ablation.report.output.format else {
        bail!("submit slurm has no `--format json`")
    };
    if args.ablation.jobs.is_some() || args.ablation.common.execution.fresh {
        bail!(
            "submit slurm takes neither `--jobs` nor `--fresh`: each job trains one run, what is missing of it"
        );
    }
    let path = folder.join("slurm.sh");
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("cannot write {}", logs.display()))?;
    let script = script(args, study, folder, arguments)?;
    alexnet_data::atomic_write(&path, script.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    if args.dry_run {
        print(&format!("{}: submit it with sbatch", path.display()));
        return Ok(());
    }
    let output = Command::new("sbatch")
        .arg("--parsable")
        .args(&args.sbatch)
        .arg(&path)
        .output()
        .with_context(|| {
            format!("cannot start sbatch; is this a machine of the cluster? the script is {}", path.display())
        })?;
    if !output.status.success() {
        bail!("sbatch: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "));
    }
    let job = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    print(&format!(
        "job array {job}, {} runs; squeue -j {job} shows them, experiments watch {} how far they are,\n\
         and experiments report {} what they found",
        study.tasks().len(),
        folder.ancestors().nth(2).unwrap_or(folder).display(),
        folder.display(),
    ));
    Ok(())
}

/// Returns the job script. SLURM requeues a job that a signal ended, by preemption, a time limit or a kill,
/// and it resumes from its last checkpoint. A failed job is not requeued.
fn script(args: &SlurmArgs, study: &Study, folder: &Path, arguments: &[String]) -> Result<String> {
    let name = folder.display().to_string();
    if name.contains(['"', '\\']) || name.contains(char::is_control) {
        bail!(
            "--out {}: quotes, backslashes and line breaks cannot be written into a job script; choose another folder",
            name.escape_debug()
        );
    }
    let last = study.tasks().len().checked_sub(1).context("the ablation has nothing to train")?;
    let at_once = args.at_once.map_or(String::new(), |limit| format!("%{limit}"));
    let program = std::env::current_exe().context("this program's own file")?;
    let mut command = vec![quoted(&program.display().to_string()), "work".to_owned()];
    command.push(quoted(&folder.display().to_string()));
    command.extend(["--threads".to_owned(), args.cpus.to_string()]);
    command.extend(arguments.iter().map(|word| quoted(word)));
    let mut text = "#!/bin/bash\n".to_owned();
    for option in [
        format!("--job-name={}-{}", study.ablation, study.scale),
        format!("--array=0-{last}{at_once}"),
        format!("--cpus-per-task={}", args.cpus),
        format!("--output=\"{}/logs/task-%a.log\"", name.replace('%', "%%")),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        // This leaves time to write a checkpoint before the time limit.
        "--signal=B:TERM@60".to_owned(),
    ] {
        let _ = writeln!(text, "#SBATCH {option}");
    }
    let _ = write!(
        text,
        "\n# A signal to the job goes on to the run, which then writes a checkpoint and ends.\n\
         run= stopped=\n\
         trap 'stopped=yes; [ -z \"$run\" ] || kill -TERM \"$run\" 2>/dev/null' TERM INT\n\
         {} --task \"$SLURM_ARRAY_TASK_ID\" &\n\
         run=$!\n\
         [ -z \"$stopped\" ] || kill -TERM \"$run\"\n\
         wait \"$run\"\n\
         code=$?\n\
         while kill -0 \"$run\" 2>/dev/null; do wait \"$run\"; code=$?; done\n\
         # 128 and above: ended by a signal. Queued again, it goes on from its last checkpoint; but not if the\n\
         # job itself is being cancelled, or queued again by SLURM.\n\
         state=\"$(squeue --noheader --jobs=\"$SLURM_JOB_ID\" --format=%T)\"\n\
         if [ \"$code\" -ge 128 ] && [ \"$state\" = RUNNING ] && [ \"${{SLURM_RESTART_COUNT:-0}}\" -lt {RESTARTS} ]; then\n\
         \x20   scontrol requeue \"$SLURM_JOB_ID\"\n\
         fi\n\
         exit \"$code\"\n",
        command.join(" ")
    );
    Ok(text)
}
