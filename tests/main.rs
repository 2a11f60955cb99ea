//! Tests of the whole: several crates, or the built binary.
//!
//! - [`golden`]: logits and all gradients against PyTorch, on every backend of this build
//! - [`precision`]: f32, TF32 and bfloat16 from the command line
//! - [`documents`]: tables of documents from committed figures; [`after_2012`]: those of the later ideas
//! - [`figures`]: trained weights by name, figures for a lecture, rates, names and tags of runs
//! - [`frozen`]: names, keys and files that others rely on
//! - [`networks`]: shapes and parameter counts of the presets, initial weights that arms share
//! - [`batches`]: the loader gives the same batches for any number of workers
//! - [`analyze`]: pictures and numbers of a trained network
//! - [`weights`]: files of PyTorch in, predictions and other names out
//! - [`own_images`]: a folder of images and nothing else: trained, tested, predicted, compared
//! - [`photographs`]: photographs to shards to batches, killed, damaged, with a full disk
//! - [`resume`]: a killed process goes on to the same bits; the test split is not read before
//! - `devices` (with a second backend): towers on two devices, batches divided over two
//! - `terminals` (on Linux): closed, dumb and tiny terminals, streams that nobody reads
//! - [`transfer`]: weights that training begins with, frozen layers, few labels
//! - [`ablations`]: a study from the command line: jobs, grids, tables; [`designs`]: looks, versions, seeds
//! - [`audits`]: statements of a paper, tested by designs
//! - [`commands`]: every subcommand's happy path and main errors

#![allow(clippy::unwrap_used, clippy::missing_docs_in_private_items)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // what was measured, with `--nocapture`

mod ablations;
mod after_2012;
mod analyze;
mod audits;
mod batches;
mod commands;
mod designs;
#[cfg(any(feature = "ndarray", feature = "wgpu", feature = "cuda"))]
mod devices;
mod documents;
mod figures;
mod frozen;
mod golden;
mod networks;
mod own_images;
mod photographs;
mod precision;
mod resume;
mod support;
#[cfg(target_os = "linux")]
mod terminals;
mod transfer;
mod weights;
