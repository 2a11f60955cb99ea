//! `experiments doctor`: what this build and this machine can do, and how to get the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use alexnet_ops::{Backend, KeptKernels, Precision, SimdLevel, Tuning, machine_memory};
use alexnet_train::RESULTS;
use anyhow::Result;
use serde::Serialize;

use crate::args::Format;
use crate::data_sets::{fetched, find_data, manifest, with_files};
use crate::gpu_kernels;
use crate::output::{can_show_dashboard, print};
use crate::program::program;
use crate::remedies::describe;
use crate::trained;

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Finding {
    /// The subject.
    about: String,
    /// Whether it is there.
    here: bool,
    /// The finding.
    found: String,
    /// How to get it, if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn here(about: &str, found: impl Into<String>) -> Self {
        Self { about: about.to_owned(), here: true, found: found.into(), remedy: None }
    }

    fn missing(about: &str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about: about.to_owned(), here: false, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn line(&self) -> String {
        let mark = if self.here { "yes" } else { "no" };
        let remedy = self.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
        format!("{mark:<4}{:<32} {}{remedy}", self.about, self.found)
    }
}

/// `experiments doctor`.
pub(crate) fn doctor(format: Format) -> Result<()> {
    let kept = gpu_kernels::keep(Tuning::default());
    let mut findings = vec![program_itself(), processor()?, terminal(), disk(Path::new("."))];
    findings.extend(backends());
    findings.extend([nvidia(), nccl(), vulkan(), kernels(kept), precision()]);
    findings.extend(data_sets());
    findings.push(weights());
    match format {
        Format::Json => print(&serde_json::to_string_pretty(&findings)?),
        Format::Text => findings.iter().for_each(|finding| print(&finding.line())),
    }
    Ok(())
}

fn program_itself() -> Finding {
    Finding::here("program", format!("experiments {}, results version {RESULTS}", program().version))
}

fn processor() -> Result<Finding> {
    let level = SimdLevel::of_environment()?;
    let class = match level.is_fused() {
        true => "bits of every processor with fused multiply-add",
        false => "bits of processors without fused multiply-add",
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = machine_memory().map_or(String::new(), |bytes| format!(", {:.1} GB", bytes as f64 / 1e9));
    Ok(Finding::here("processor", format!("{cores} cores{memory}, {} vectors; {class}", level.name())))
}

fn terminal() -> Finding {
    match can_show_dashboard() {
        true => Finding::here("dashboard", "this terminal shows it"),
        false => {
            Finding::missing("dashboard", "not a terminal of 40 columns and 10 rows", "plain lines instead")
        }
    }
}

fn disk(folder: &Path) -> Finding {
    match free_bytes(folder) {
        Some(free) => {
            Finding::here("free disk", format!("{:.1} GB in the current folder", free as f64 / 1e9))
        }
        None => Finding::missing("free disk", "unknown on this system", "look before long runs"),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Returns a line for each backend: the devices of those in this build, and how to get the others.
fn backends() -> Vec<Finding> {
    let finding = |name: &str| {
        let about = format!("backend {name}");
        let backend = match name.parse::<Backend>() {
            Ok(backend) => backend,
            Err(_) => {
                return Finding::missing(
                    &about,
                    "not in this build",
                    format!("build with `--features {name}`"),
                );
            }
        };
        match backend.device() {
            Err(error) => Finding::missing(&about, "in this build", describe(&error.into())),
            Ok(_) if backend.is_processor() => Finding::here(&about, "the processor"),
            Ok(_) => Finding::here(&about, backend.devices().join(", ")),
        }
    };
    Backend::names().into_iter().map(finding).collect()
}

/// Asks NVIDIA's tool for the GPUs with memory and driver.
fn nvidia() -> Finding {
    let about = "NVIDIA driver";
    let asked = Command::new("nvidia-smi")
        .args(["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
        .output();
    match asked {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let gpus: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            Finding::here(about, gpus.join("; "))
        }
        Ok(_) => Finding::missing(about, "`nvidia-smi` fails", "check the driver"),
        Err(_) => {
            Finding::missing(about, "no `nvidia-smi`", "an NVIDIA GPU needs its driver (`--backend cuda`)")
        }
    }
}

fn nccl() -> Finding {
    match library("libnccl.so") {
        Some(path) => Finding::here("NCCL", path.display().to_string()),
        None => Finding::missing(
            "NCCL",
            "no libnccl.so",
            "`--data-parallel=ddp` needs it; `--data-parallel` and towers on two GPUs do not",
        ),
    }
}

fn vulkan() -> Finding {
    let drivers = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"].into_iter().filter_map(|folder| {
        let files = std::fs::read_dir(folder).ok()?;
        Some(files.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned())))
    });
    let mut drivers: Vec<String> = drivers.flatten().collect();
    drivers.sort();
    match (library("libvulkan.so"), drivers.is_empty()) {
        (Some(path), false) => {
            Finding::here("Vulkan", format!("{}; drivers {}", path.display(), drivers.join(", ")))
        }
        (Some(path), true) => Finding::missing(
            "Vulkan",
            format!("{}, but no driver", path.display()),
            "install your GPU's, or mesa-vulkan-drivers for one in software",
        ),
        (None, _) => Finding::missing("Vulkan", "no libvulkan.so", "`--backend wgpu` needs it on Linux"),
    }
}

/// Returns the path of a shared library whose name begins like this, from the loader's list and `LD_LIBRARY_PATH`.
fn library(name: &str) -> Option<PathBuf> {
    let listed = Command::new("ldconfig").arg("-p").output().ok();
    let listed = listed.or_else(|| Command::new("/sbin/ldconfig").arg("-p").output().ok());
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let (file, path) = line.trim().split_once(" => ")?;
        file.starts_with(name).then(|| PathBuf::from(path))
    });
    let folders = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let in_folders = || {
        let files = std::env::split_paths(&folders).filter_map(|folder| std::fs::read_dir(folder).ok());
        let mut paths = files.flatten().filter_map(|file| Some(file.ok()?.path()));
        paths.find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)))
    };
    found.or_else(in_folders)
}

fn kernels(kept: &KeptKernels) -> Finding {
    let about = "GPU kernels";
    match kept {
        KeptKernels::Nowhere => Finding::missing(
            about,
            "not tried out in this build",
            "build with `--features cuda`, `rocm` or `wgpu,autotune`",
        ),
        KeptKernels::AsConfigured(path) => Finding::here(about, format!("as {} says", path.display())),
        KeptKernels::File(path) => match std::fs::metadata(path) {
            Ok(file) => {
                Finding::here(about, format!("{} ({:.1} MB)", path.display(), file.len() as f64 / 1e6))
            }
            Err(_) => Finding::missing(
                about,
                format!("none kept yet in {}", path.display()),
                "`experiments tune NETWORK --backend …` tries them out once",
            ),
        },
    }
}

/// What `--precision` may be with each backend.
fn precision() -> Finding {
    let of = |backend: Backend| {
        let device = backend.device().ok()?;
        let there = Precision::ALL.into_iter().filter(|precision| precision.is_on(&device));
        Some(format!("{backend}: {}", there.map(|it| it.to_string()).collect::<Vec<_>>().join(" ")))
    };
    let found: Vec<String> = Backend::in_this_build().into_iter().filter_map(of).collect();
    Finding::here("precision", found.join("; "))
}

fn data_sets() -> Vec<Finding> {
    let finding = |name: &str| -> Result<Finding> {
        let (about, manifest) = (format!("data set {name}"), manifest(name)?);
        Ok(match find_data(&manifest) {
            Some(path) => Finding::here(&about, path.display().to_string()),
            None if with_files(&manifest)?.files.is_empty() => {
                Finding::missing(&about, "not here", "give it with `--data`")
            }
            None => Finding::missing(
                &about,
                format!("not in {}", fetched().display()),
                format!("`experiments data fetch {name}`"),
            ),
        })
    };
    let names = program().data_sets.iter().map(|file| file.name);
    names.filter_map(|name| finding(name).ok()).collect()
}

fn weights() -> Finding {
    let names = trained::names();
    match names.is_empty() {
        false => Finding::here("trained weights", names.join(", ")),
        true => {
            Finding::missing("trained weights", "not beside this program", "run it inside the repository")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_a_remedy() {
        for backend in backends() {
            assert_eq!(backend.here, backend.remedy.is_none(), "{backend:?}");
        }
        let line = Finding::missing("NCCL", "no libnccl.so", "install it").line();
        assert_eq!(line, "no  NCCL                             no libnccl.so; install it");
    }
}
