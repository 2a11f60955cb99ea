//! What to do about a library's error, in terms of the command line.

use alexnet_ops::BackendError;
use alexnet_study::StudyError;
use alexnet_train::TrainError;
use alexnet_weights::{Unresolved, WeightsError};

/// An error and its causes on one line, with the remedy. A library's error that already ends with its cause, as most of
/// ours do, does not say it twice.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let text =
        error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
            "" => cause,
            said if said.ends_with(&cause) => text,
            _ => format!("{text}: {cause}"),
        });
    match error.chain().find_map(remedy) {
        Some(remedy) => format!("{text}; {remedy}"),
        None => text,
    }
}

/// An error of training on one line, with the remedy.
pub(crate) fn describe_training(error: &TrainError) -> String {
    match of_training(error) {
        Some(remedy) => format!("{error}; {remedy}"),
        None => error.to_string(),
    }
}

fn remedy(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<TrainError>() {
        return of_training(error);
    }
    if let Some(error) = error.downcast_ref::<WeightsError>() {
        return of_weights(error);
    }
    if let Some(error) = error.downcast_ref::<StudyError>() {
        return of_study(error);
    }
    match error.downcast_ref::<Unresolved>() {
        Some(Unresolved::NoPreset { .. }) => return Some("say which network with `--preset`".to_owned()),
        Some(Unresolved::SeveralPresets { .. }) => return Some("say which with `--preset`".to_owned()),
        _ => {}
    }
    let device = matches!(
        error.downcast_ref::<BackendError>()?,
        BackendError::NoSuchDevice { .. } | BackendError::NoAdapter { .. }
    );
    device.then(|| "`--backend flex` computes on the processor".to_owned())
}

fn of_training(error: &TrainError) -> Option<String> {
    let text = match error {
        TrainError::Damaged { .. } => "`--fresh` trains this run from the start",
        TrainError::DamagedLabel { .. } => "remove the file; it has only a name and tags",
        TrainError::Locked { .. } => "wait for it or choose another `--out`",
        TrainError::Interrupted { .. } => "the same command resumes (without `--fresh`)",
        TrainError::Classes { data, layer, .. } => {
            return Some(format!("add `--set network.classes={data} --set network.fc.{layer}.units={data}`"));
        }
        TrainError::Config { key: "network.towers", .. } => {
            "name at most as many devices, or divide batches with `--data-parallel`"
        }
        TrainError::Config { key: "network.conv", .. } => "put towers on `--devices`, or use one device",
        TrainError::Config { key: "initial.weights", .. } => "add `--from`",
        TrainError::Initial { source, .. } => return of_weights(source),
        _ => return None,
    };
    Some(text.to_owned())
}

/// How to begin a study in place of one that must not change. The same seeds would give the same runs again, and the new study
/// would not know that they have been seen.
pub(crate) const ANOTHER_STUDY: &str =
    "start a new study with another `--out` and with seeds that no table has shown, `--seed-base N`";

fn of_study(error: &StudyError) -> Option<String> {
    match error {
        StudyError::Train { source, .. } => of_training(source),
        StudyError::DesignFixed { own: None, .. } => {
            Some(format!("`--until-decided` and `--max-seeds` go on with it; {ANOTHER_STUDY}"))
        }
        StudyError::Read { path, .. } if path.ends_with("study.json") => {
            Some("give the folder of an ablation, `runs/ablations/…`".to_owned())
        }
        StudyError::DesignFixed { .. } | StudyError::LookTaken { .. } => Some(ANOTHER_STUDY.to_owned()),
        _ => None,
    }
}

fn of_weights(error: &WeightsError) -> Option<String> {
    match error {
        WeightsError::Layer { layer, .. } => Some(format!("to draw the layer anew say `--new {layer}`")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_train::{Placement, Reduction};

    #[test]
    fn a_cause_is_said_once() {
        let full = std::io::Error::other("no space");
        let error = anyhow::Error::new(full).context("cannot write x: no space").context("run 3");
        assert_eq!(describe(&error), "run 3: cannot write x: no space");
    }

    #[test]
    fn a_remedy_follows_the_error_wherever_it_is_in_the_chain() {
        let locked = TrainError::Locked { path: "runs/x".into() };
        let error = anyhow::Error::new(locked).context("arm `on`");
        assert_eq!(
            describe(&error),
            "arm `on`: runs/x is being trained by another process; wait for it or choose another `--out`"
        );
    }

    #[test]
    fn every_remedy_names_an_option() {
        let path = std::path::PathBuf::from("x");
        let layer = |layer: &str| WeightsError::Layer {
            layer: layer.to_owned(),
            tensor: String::new(),
            problem: String::new(),
        };
        let classes = TrainError::Classes { name: "mine".into(), network: 10, data: 7, layer: "fc8".into() };
        let network = alexnet_model::Preset::load("mini").unwrap();
        let device = alexnet_ops::Backend::in_this_build()[0].device().unwrap();
        let too_many = Placement::Towers(vec![device.clone(); 3]).check(&network).unwrap_err();
        let batch_norm = alexnet_model::Stage::BatchNorm(alexnet_model::BatchNormalization {
            epsilon: 1e-5,
            momentum: 0.1,
        });
        let mut normalized = network;
        normalized.conv[0].stages.push(batch_norm);
        let divided =
            Placement::DataParallel(vec![device; 2], Reduction::First).check(&normalized).unwrap_err();
        for (error, option) in [
            (TrainError::Damaged { path: path.clone(), problem: String::new() }, "--fresh"),
            (TrainError::Interrupted { epoch: 1, step: 1 }, "--fresh"),
            (TrainError::Initial { path, source: layer("fc8") }, "--new fc8"),
            (classes, "--set network.classes=7 --set network.fc.fc8.units=7"),
            (too_many, "--data-parallel"),
            (divided, "--devices"),
        ] {
            let text = describe(&anyhow::Error::new(error));
            assert!(text.contains(option), "{text}");
        }
        assert!(describe(&anyhow::Error::new(layer("fc7"))).contains("--new fc7"));
    }
}
