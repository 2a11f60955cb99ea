//! The races that the page offers: the ablations, and which of their arms can act on its images.

use alexnet_config::{Diff, parse};
use alexnet_study::arm::resolve;
use alexnet_study::{Ablation, Scale, StudyError};
use serde::{Deserialize, Serialize};

use crate::{Answer, Answered};

/// The TOML files of the page.
#[derive(Debug, Deserialize)]
struct Files {
    /// The scale.
    scale: String,
    /// The ablations.
    ablations: Vec<String>,
    /// The channels of the images.
    channels: usize,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    question: String,
    claim: Option<String>,
    section: Option<String>,
    arms: Vec<ListedArm>,
}

#[derive(Debug, Serialize)]
struct ListedArm {
    name: String,
    about: String,
    /// The parameters of the network; absent if the arm cannot be raced.
    parameters: Option<u64>,
    epochs: usize,
    /// Why the arm cannot be raced.
    problem: Option<String>,
}

/// Lists ablations with their arms at the page's scale, as JSON. An ablation that does not resolve at this scale is left out.
///
/// # Errors
/// If the request is not JSON, or a file is invalid.
pub fn catalogue(request: &[u8]) -> Answered {
    let files: Files = serde_json::from_slice(request)?;
    let scale: Scale = parse(&files.scale)?;
    let listed = files.ablations.iter().map(|toml| list(toml, &scale, files.channels));
    Ok(Answer::of(&listed.collect::<Result<Vec<_>, _>>()?, Vec::new())?)
}

fn list(toml: &str, scale: &Scale, channels: usize) -> Result<Listed, StudyError> {
    let ablation = Ablation::parse(toml)?;
    let arms = resolve(&ablation, scale, &Diff::default())?.into_iter().map(|(arm, config)| {
        let inert = config.inert(channels).map(str::to_owned);
        let begun = (!config.initial.weights.is_empty()).then(|| "begins with trained weights".to_owned());
        ListedArm {
            name: arm.name.clone(),
            about: arm.about.clone(),
            parameters: config.network.trace().ok().map(|trace| trace.parameters() as u64),
            epochs: config.recipe.epochs,
            problem: inert.or(begun),
        }
    });
    let arms = arms.collect();
    let (claim, section) = ablation.claim.map(|claim| (claim.text, claim.section)).unzip();
    Ok(Listed { name: ablation.name, question: ablation.question, claim, section, arms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_that_cannot_act_on_grey_images_says_why() {
        let read = |path: &str| {
            let experiments = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments");
            std::fs::read_to_string(format!("{experiments}/{path}")).unwrap()
        };
        let ablations = ["ablations/augmentation.toml", "ablations/lrn.toml"].map(read);
        let request =
            serde_json::json!({ "scale": read("scales/mini.toml"), "ablations": ablations, "channels": 1 });
        let answer = catalogue(request.to_string().as_bytes()).unwrap();
        let listed: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        let arm = |ablation: usize, arm: usize| &listed[ablation]["arms"][arm];
        assert_eq!(arm(0, 2)["name"], "with-colour");
        assert!(arm(0, 2)["problem"].as_str().unwrap().contains("colour noise needs colour"));
        assert_eq!(
            (&arm(1, 1)["problem"], &arm(1, 1)["parameters"]),
            (&serde_json::Value::Null, &131_330.into())
        );
    }
}
