//! How often each class is taken for each other.

use std::sync::atomic::AtomicBool;

use alexnet_data::Split;
use anyhow::Result;

use super::{Inspector, largest, names, write_figure};
use crate::args::ConfusionArgs;
use crate::drawings::{self, Confusions};
use crate::output::print;

/// Counts the images of each class that get each answer.
pub(crate) fn count(
    look: &Inspector,
    split: &Split,
    outputs: &[usize],
    stop: &AtomicBool,
) -> Result<Vec<Vec<usize>>> {
    let classes = look.loaded.network.classes;
    let mut counts = vec![vec![0; classes]; classes];
    let mut image = 0;
    look.for_each_prediction(split, stop, |all| {
        counts[outputs[split.label(image)]][largest(all, 1)[0]] += 1;
        image += 1;
    })?;
    Ok(counts)
}

/// `experiments analyze confusion`.
pub(super) fn confusion(args: &ConfusionArgs, stop: &AtomicBool) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let (split, classes, name) = look.test_images(&args.look.weights, &args.data)?;
    let outputs = look.loaded.outputs(&classes)?;
    let names = names(&look.loaded, &classes, &outputs);
    let counts = count(&look, &split, &outputs, stop)?;
    let found = Confusions { split: name, classes: names, counts };
    let (right, all) = (found.right(), found.images());
    print(&format!(
        "{right} of {all} images right: {:.2} % error",
        100.0 * (all - right) as f64 / all.max(1) as f64
    ));
    write_figure(&look.out, "confusion", &drawings::confusions(&found)?)?;
    look.write("confusion.json", &found)
}
