//! What to do about a library's error, in terms of the command line.

use alexnet_ops::BackendError;
use alexnet_train::TrainError;
use alexnet_weights::WeightsError;

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
    let device = matches!(
        error.downcast_ref::<BackendError>()?,
        BackendError::NoSuchDevice { .. } | BackendError::NoAdapter { .. }
    );
    device.then(|| "`--backend flex` computes on the processor".to_owned())
}

fn of_training(error: &TrainError) -> Option<String> {
    let text = match error {
        TrainError::Damaged { .. } => "train this run anew with `--fresh`",
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

fn of_weights(error: &WeightsError) -> Option<String> {
    match error {
        WeightsError::Layer { layer, .. } => Some(format!("to draw the layer anew say `--new {layer}`")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
