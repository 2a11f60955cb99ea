//! The first layer's kernels, and whether towers specialize (Krizhevsky et al. 2012, §6.1 and figure 3).

use std::path::Path;

use alexnet_analysis::kernels::{self, ByChance, Colourfulness, Range, Tower};
use anyhow::Result;
use serde::Serialize;

use super::Inspector;
use crate::args::{KernelsArgs, LookArgs};
use crate::contact_sheet::Canvas;
use crate::first_layer::towers;
use crate::output::print;
use alexnet_study::statistics::{Difference, LEVEL};

#[derive(Debug, Serialize)]
struct Findings {
    /// The result of the first network, whose kernels are drawn.
    #[serde(flatten)]
    drawn: Colourfulness,
    /// All networks, one per seed.
    networks: Vec<Seed>,
    /// The mean of the differences.
    mean: Option<f64>,
    /// The 95 % interval of the mean, if there are several networks.
    interval_95: Option<(f64, f64)>,
}

/// The result of one network. Chance decides which tower specializes in colour, so one network is one
/// observation.
#[derive(Debug, Serialize)]
struct Seed {
    weights: String,
    towers: usize,
    /// The mean of each tower, or of each half of a single tower.
    means: Vec<f64>,
    difference: Option<f64>,
    by_chance: Option<ByChance>,
}

/// `experiments analyze kernels`.
pub(super) fn kernels(args: &KernelsArgs) -> Result<()> {
    let look = Inspector::open(&args.look)?;
    let towers = towers(&look.loaded.network, &look.model)?;
    let first = &look.loaded.network.conv[0];
    let range = if args.per_kernel { Range::EachKernel } else { Range::Global };
    let picture = kernels::picture(&towers, range, (64 / first.kernel).max(1));
    look.draw("kernels.png", &Canvas::of(picture.width, picture.height, picture.pixels))?;
    let drawn = kernels::colourfulness(&towers);
    for (tower, mean) in drawn.means.iter().enumerate() {
        print(&format!("tower {tower}: {:.1} % of the energy of {} is colour", 100.0 * mean, first.name));
    }
    if look.loaded.network.input.channels == 1 {
        print("the network sees grey images: its kernels have no colour");
    }
    let mut networks = vec![Seed::of(&args.look.weights, towers)];
    for weights in &args.others {
        let other = Inspector::open(&LookArgs { weights: weights.clone(), ..args.look.clone() })?;
        networks.push(Seed::of(weights, self::towers(&other.loaded.network, &other.model)?));
    }
    for Seed { weights, towers, difference, by_chance, .. } in &networks {
        let (Some(difference), Some(chance)) = (difference, by_chance) else { continue };
        let of = if *towers == 1 { "halves of the one tower" } else { "towers" };
        print(&format!(
            "{weights}: {of} differ by {:.1} points; random halves do by {:.1}, and by as much with p = {:.4}",
            100.0 * difference,
            100.0 * chance.mean,
            chance.p
        ));
    }
    let differences: Vec<f64> = networks.iter().filter_map(|network| network.difference).collect();
    let over_seeds = Difference::of(&differences, 0.0, LEVEL);
    let (mean, interval_95) =
        (over_seeds.as_ref().map(|all| all.mean), over_seeds.as_ref().and_then(|all| all.interval_95));
    if let (Some(mean), Some((low, high))) = (mean, interval_95) {
        print(&format!(
            "{} networks differ by {:.1} points on average [{:.1}, {:.1}]",
            differences.len(),
            100.0 * mean,
            100.0 * low,
            100.0 * high
        ));
    }
    look.write("kernels.json", &Findings { drawn, networks, mean, interval_95 })
}

impl Seed {
    fn of(weights: &Path, towers: Vec<Tower>) -> Self {
        let count = towers.len();
        // A single tower has no sides to compare. Its first half is compared with its second, as a control.
        let halves = match towers.as_slice() {
            [one] => one.halves(),
            _ => towers,
        };
        let found = kernels::colourfulness(&halves);
        Self {
            weights: weights.display().to_string(),
            towers: count,
            by_chance: found.difference.map(|_| kernels::by_chance(&found)),
            means: found.means,
            difference: found.difference,
        }
    }
}
