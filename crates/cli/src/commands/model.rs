//! `experiments model`: describes a network layer by layer, or the differences between two.

use alexnet_config::Difference;
use alexnet_model::{LayerTrace, Network, Preset};
use anyhow::{Result, bail};
use indicatif::HumanCount;
use serde::Serialize;

use crate::args::{Format, ModelArgs};
use crate::output::print;

/// `experiments model`.
pub(crate) fn model(args: &ModelArgs) -> Result<()> {
    let ours = Preset::load(&args.name)?;
    let Some(other) = &args.diff else {
        let description = Description::of(&ours, &args.devices, args.batch)?;
        match args.output.format {
            Format::Json => print(&serde_json::to_string_pretty(&description)?),
            Format::Text => print(&description.text()),
        }
        return Ok(());
    };
    let differences = differences(&ours, &Preset::load(other)?)?;
    match args.output.format {
        Format::Json => print(&serde_json::to_string_pretty(&differences)?),
        Format::Text if differences.is_empty() => print("no difference"),
        Format::Text => differences.iter().for_each(|difference| print(&difference.text())),
    }
    Ok(())
}

/// A network as a table, as `experiments model` prints it.
#[derive(Debug, Serialize)]
struct Description {
    name: String,
    sources: Vec<String>,
    parameters: usize,
    /// The multiply-adds of one image's forward pass.
    multiply_adds: usize,
    layers: Vec<Row>,
    /// The bytes that devices exchange in the forward pass of a step of `batch` images, if each tower has its
    /// own device. The backward pass exchanges as many bytes of gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchanged_bytes_per_step: Option<usize>,
    /// The bytes of such a step's images, which every device except the first also receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes_per_step: Option<usize>,
    batch: usize,
}

/// A layer of a [`Description`].
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    towers: usize,
    /// The output of the layer's operation: `channels × side × side` over all towers, or units.
    output: String,
    /// The output after the layer's stages.
    after: String,
    parameters: usize,
    multiply_adds: usize,
    /// The size of its weights and biases in f32, in bytes.
    weight_bytes: usize,
    /// The size of its output for one image in f32, in bytes.
    output_bytes: usize,
    stages: Vec<&'static str>,
    /// The device of each of its towers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<String>,
    /// The bytes that it receives from other towers for one image, in f32.
    exchanged_bytes: usize,
}

impl Row {
    fn new(layer: &LayerTrace, maps: bool, towers: usize, devices: &[String]) -> Self {
        // Of the inputs from other towers, only those from another device count.
        let there = |tower: usize| devices.get(tower % devices.len().max(1));
        let pairs = (0..layer.towers).flat_map(|one| (0..towers).map(move |other| (one, other)));
        let apart = pairs.filter(|(one, other)| there(*one) != there(*other)).count();
        let all = layer.towers * (towers - 1).max(1);
        let exchanged = if devices.is_empty() { layer.exchanged } else { layer.exchanged / all * apart };
        let device = |tower: usize| devices[tower % devices.len()].clone();
        let devices = if devices.is_empty() { Vec::new() } else { (0..layer.towers).map(device).collect() };
        let channels = layer.outputs * layer.towers;
        let shape =
            |side: usize| if maps { format!("{channels} × {side} × {side}") } else { channels.to_string() };
        let last = layer.stages.last().map_or(layer.side, |stage| stage.side);
        Self {
            name: layer.name.clone(),
            towers: layer.towers,
            output: shape(layer.side),
            after: shape(last),
            parameters: layer.parameters,
            multiply_adds: layer.multiply_adds,
            weight_bytes: 4 * layer.parameters,
            output_bytes: 4 * channels * layer.side * layer.side,
            stages: layer.stages.iter().map(|stage| stage.name).collect(),
            devices,
            exchanged_bytes: 4 * exchanged,
        }
    }
}

impl Description {
    /// Describes a network whose towers are on these devices in turn. Without devices, their place is
    /// unspecified.
    fn of(network: &Network, devices: &[String], batch: usize) -> Result<Self> {
        let trace = network.trace()?;
        if devices.iter().any(|device| device.trim().is_empty()) {
            bail!("`--devices {}`: a device without a name", devices.join(","));
        }
        if devices.len() > network.towers {
            bail!("{} devices for {} tower(s) of `{}`", devices.len(), network.towers, network.name);
        }
        let maps = network.conv.len();
        let rows = trace.layers.iter().enumerate();
        let rows: Vec<Row> =
            rows.map(|(index, layer)| Row::new(layer, index < maps, network.towers, devices)).collect();
        let exchanged: usize = rows.iter().map(|row| row.exchanged_bytes).sum();
        Ok(Self {
            name: network.name.clone(),
            sources: network.sources.clone(),
            parameters: trace.parameters(),
            multiply_adds: trace.multiply_adds(),
            layers: rows,
            exchanged_bytes_per_step: (devices.len() > 1).then_some(exchanged.saturating_mul(batch)),
            image_bytes_per_step: (devices.len() > 1)
                .then_some((4 * network.input.channels * network.input.size.pow(2)).saturating_mul(batch)),
            batch,
        })
    }

    /// Returns the text for people.
    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{:<8} {:>6} {:>14} {:>14} {:>12} {:>14}",
            "layer", "towers", "output", "after stages", "parameters", "multiply-adds"
        )];
        for row in &self.layers {
            lines.push(format!(
                "{:<8} {:>6} {:>14} {:>14} {:>12} {:>14}",
                row.name,
                row.towers,
                row.output,
                row.after,
                grouped(row.parameters),
                grouped(row.multiply_adds)
            ));
            let megabytes = |bytes: usize| bytes as f64 / 1e6;
            let mut notes = format!(
                "weights {:.2} MB, output {:.2} MB{}{}",
                megabytes(row.weight_bytes),
                megabytes(row.output_bytes),
                if row.stages.is_empty() { "" } else { "; " },
                row.stages.join(", ")
            );
            if !row.devices.is_empty() {
                notes = format!("{notes}; on {}", row.devices.join(" | "));
            }
            lines.push(format!("{:8} {notes}", ""));
            if self.exchanged_bytes_per_step.is_some() && row.exchanged_bytes > 0 {
                let taken = grouped(row.exchanged_bytes);
                lines.push(format!("{:8} takes in {taken} bytes an image of other towers", ""));
            }
        }
        let (parameters, multiply_adds) = (grouped(self.parameters), grouped(self.multiply_adds));
        lines.push(format!("{:<45} {parameters:>12} {multiply_adds:>14}", "all"));
        let weights: usize = self.layers.iter().map(|row| row.weight_bytes).sum();
        let outputs: usize = self.layers.iter().map(|row| row.output_bytes).sum();
        lines.push(format!(
            "weights {:.1} MB, outputs of the layers {:.2} MB an image, in f32\n",
            weights as f64 / 1e6,
            outputs as f64 / 1e6
        ));
        if let (Some(exchanged), Some(images)) = (self.exchanged_bytes_per_step, self.image_bytes_per_step) {
            lines.push(format!(
                "between devices: {} bytes forward and as many back, in a step of {} images;\n\
                 its images, {} bytes, go to each device\n",
                grouped(exchanged),
                self.batch,
                grouped(images)
            ));
        }
        lines.extend(self.sources.iter().map(|source| format!("- {source}")));
        format!("{}\n\n{}", self.name, lines.join("\n"))
    }
}

/// Formats 60965224 as 60,965,224.
fn grouped(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// Returns the differences between two networks, except their names and sources.
fn differences(one: &Network, other: &Network) -> Result<Vec<Difference>> {
    let mut found = alexnet_config::differences(one, other)?;
    found.retain(|difference| difference.key != "name" && difference.key != "sources");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!(["7", "1,000", "60,965,224"].map(str::to_owned), [7, 1000, 60_965_224].map(grouped));
    }
}
