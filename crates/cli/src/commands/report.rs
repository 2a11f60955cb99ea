//! `experiments report` and `experiments power`: report the results of finished runs.

use std::path::{Path, PathBuf};

use alexnet_report::{Page, Power, Report, Section};
use alexnet_study::Study;
use alexnet_train::Run;
use anyhow::{Context, Result, bail};

use crate::args::{Format, PowerArgs, ReportArgs};
use crate::output::print;
use crate::run_page;

/// `experiments report`.
pub(crate) fn report(args: &ReportArgs) -> Result<()> {
    let are_runs = args.folders.iter().filter(|folder| folder.join("run.json").is_file()).count();
    if are_runs > 0 {
        if are_runs < args.folders.len() {
            bail!("give folders of runs, or of ablations, but not both");
        }
        return runs(args);
    }
    let mut reports = Vec::new();
    let mut sections = Vec::new();
    let folders = studies(&args.folders)?;
    for folder in &folders {
        let (mut study, out) = (Study::read(folder)?, out_of(folder)?);
        let report = Report::of(&study, &out, args.report.mixed_versions);
        study.note_look(report.look(), folder)?;
        report.write(folder)?;
        let section = Section::of(&study, report.clone(), &out)?;
        Page::of(vec![section.clone()]).write(&folder.join("report"))?;
        sections.push(section);
        reports.push(report);
    }
    let page = args.out.clone().unwrap_or_else(|| args.folders[0].join("report"));
    Page::of(sections).write(&page)?;
    show(&reports, args.report.output.format, &page)
}

/// Writes the page of one run or of several.
fn runs(args: &ReportArgs) -> Result<()> {
    let page = match (args.folders.as_slice(), &args.out) {
        ([run], out) => {
            let run = Run::open(run)?;
            let folder = out.clone().unwrap_or_else(|| run_page::folder_of(&run));
            run_page::write(&run, None, &folder)?
        }
        (runs, Some(out)) => run_page::write_several(runs, out)?,
        (_, None) => bail!("several runs have no common folder: say with `--out` where their page goes"),
    };
    match args.report.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&serde_json::json!({ "page": page }))?),
        Format::Text => print(&page.display().to_string()),
    }
    Ok(())
}

/// Returns the studies' folders among `folders`, and those in folders that were given as `--out`.
fn studies(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let inside = std::fs::read_dir(folder.join("ablations")).into_iter().flatten().filter_map(Result::ok);
        let mut inside: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
        inside.retain(|path| path.join("study.json").is_file());
        inside.sort();
        if inside.is_empty() {
            inside.push(folder.clone());
        }
        found.append(&mut inside);
    }
    Ok(found)
}

/// `experiments power`.
pub(crate) fn power(args: &PowerArgs) -> Result<()> {
    let named = Path::new(&args.ablation);
    let folder = match named.join("study.json").is_file() {
        true => named.to_owned(),
        false => Study::folder(&args.out, &args.ablation, &args.scale),
    };
    if !folder.join("study.json").is_file() {
        bail!(
            "there is no {}: train it first, `experiments ablation {} --scale {} --out {}`",
            folder.display(),
            args.ablation,
            args.scale,
            args.out.display()
        );
    }
    let (mut study, out) = (Study::read(&folder)?, out_of(&folder)?);
    let report = Report::of(&study, &out, args.report.mixed_versions);
    let _ = study.note_look(report.look(), &folder); // a folder that is read-only gets no later table either
    let power = Power::of(&study, &report);
    match args.report.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&power)?),
        Format::Text => print(power.text().trim_end()),
    }
    Ok(())
}

/// Returns the folder that contains the runs of a study. The study's own folder is `<out>/ablations/<study>`.
pub(crate) fn out_of(folder: &Path) -> Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    Ok(folder.ancestors().nth(2).unwrap_or(Path::new("/")).to_owned())
}

/// Prints reports in the requested format.
pub(crate) fn show(reports: &[Report], format: Format, folder: &Path) -> Result<()> {
    match (format, reports) {
        (Format::Json, [report]) => print(&serde_json::to_string_pretty(report)?),
        (Format::Json, _) => print(&serde_json::to_string_pretty(reports)?),
        (Format::Text, _) => {
            reports.iter().for_each(|report| print(report.table().trim_end()));
            print(&format!("\n{}: index.html, report.json, runs.csv", folder.display()));
        }
    }
    Ok(())
}
