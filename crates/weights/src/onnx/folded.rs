//! Factors of dropout that become part of weights.

use alexnet_model::{DropoutConvention, Network, Stage};

/// Returns the factors of dropout that the weights of each layer take over, in order: that of the layer before it, if only
/// pooling lies between.
pub(super) fn folded(network: &Network) -> Vec<f32> {
    let mut factors = Vec::new();
    let mut factor = 1.0;
    let conv = network.conv.iter().map(|layer| (&layer.stages, layer.residual));
    for (stages, residual) in conv.chain(network.fc.iter().map(|layer| (&layer.stages, false))) {
        // A sum takes a factor as a node of its own.
        factors.push(if residual { 1.0 } else { factor });
        factor = 1.0;
        for stage in stages {
            factor = passed(factor, stage, network.dropout);
        }
        factor = if residual { 1.0 } else { factor };
    }
    factors
}

/// Returns the factor that is pending after a stage. A stage that a factor cannot pass takes it as a node of its own.
pub(super) fn passed(factor: f32, stage: &Stage, convention: DropoutConvention) -> f32 {
    match stage {
        Stage::Dropout(drop) if convention == DropoutConvention::Paper => factor * (1.0 - *drop) as f32,
        Stage::Dropout(_) | Stage::MaxPool(_) | Stage::AvgPool(_) | Stage::GlobalAvgPool => factor,
        _ => 1.0,
    }
}
