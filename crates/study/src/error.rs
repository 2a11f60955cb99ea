use std::path::PathBuf;

use alexnet_config::ConfigError;
use alexnet_data::DataError;
use alexnet_model::NetworkError;
use alexnet_train::TrainError;

use crate::design::Design;

/// The reason why a study cannot be made, read or continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A file of a scale or an ablation is invalid, or a change cannot be made.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data set has no such part.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The arms of an ablation's file contradict each other.
    #[error("ablation `{name}`: {problem}")]
    Ablation {
        /// The ablation's name.
        name: String,
        /// The contradiction.
        problem: String,
    },
    /// A registration cannot decide anything, or does not fit its ablation.
    #[error("design `{name}`: {problem}")]
    Registration {
        /// The registration's name.
        name: String,
        /// The problem.
        problem: String,
    },
    /// An audit's statements do not fit its designs.
    #[error("audit `{name}`: {problem}")]
    Audit {
        /// The audit's name.
        name: String,
        /// The problem.
        problem: String,
    },
    /// An ablation's file has only a base.
    #[error("ablation `{ablation}` has no `[[arms]]` and no `[grid]` to compare with its base")]
    NoArms {
        /// The ablation's name.
        ablation: String,
    },
    /// An arm cannot be compared with the base.
    #[error("{context}: {problem}")]
    Arm {
        /// The ablation, the arm or source, and the scale.
        context: String,
        /// The problem.
        problem: ArmProblem,
    },
    /// The layers of an arm's network do not fit.
    #[error("{context}: {source}")]
    Network {
        /// The ablation, the arm or source, and the scale.
        context: String,
        /// The problem.
        source: NetworkError,
    },
    /// An arm cannot be trained on the data.
    #[error("{context}: {source}")]
    Train {
        /// The arm or source, and the data set.
        context: String,
        /// The problem.
        source: Box<TrainError>,
    },
    /// The design was fixed before the first look, and the study to continue it differs.
    #[error(
        "{}: the design of this study is fixed, {}, and {}",
        folder.display(),
        design.text(),
        difference(design, own.as_ref())
    )]
    DesignFixed {
        /// The study's folder.
        folder: PathBuf,
        /// The fixed design.
        design: Design,
        /// The design of the other study. If it is equal, the runs differ.
        own: Option<Design>,
    },
    /// A design comes too late, since a table was made.
    #[error(
        "{}: a table of this study was made with {seeds} seeds, and looks must be fixed before the first",
        folder.display()
    )]
    LookTaken {
        /// The study's folder.
        folder: PathBuf,
        /// The number of seeds of the last table.
        seeds: usize,
    },
    /// The file of a study, or of finished runs, cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A study cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file of a study, or of finished runs, is damaged.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
}

/// The reason why an arm cannot be compared with the base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmProblem {
    /// The source has itself as its initial weights.
    #[error("begins with itself")]
    BeginsWithItself,
    /// The initial weights are those of a source that the ablation lacks.
    #[error("begins with the source, but the ablation has no `[source]`")]
    NoSource,
    /// The arm's own changes have no effect.
    #[error("equal to the base: it changes nothing")]
    NoEffect,
    /// The changes that override every arm undo the arm's own.
    #[error("equal to the base after `--set`")]
    Overridden,
    /// The arm equals the arm that it is compared with.
    #[error("equal to the arm of its `against`, after `--set` if there is one")]
    EqualToReference,
    /// The arm changes the number of parameters without declaring it.
    #[error("has {arm} parameters where the base has {base}; if it must, say `changes = [\"parameters\"]`")]
    Parameters {
        /// The number of parameters of the arm.
        arm: usize,
        /// The number of parameters of the base.
        base: usize,
    },
    /// The arm changes the size of feature maps without declaring it.
    #[error(
        "`{layer}` gives maps of {arm}×{arm} where the base gives {base}×{base}; \
         if it must, say `changes = [\"map-sizes\"]`"
    )]
    MapSizes {
        /// The first layer whose feature maps differ.
        layer: String,
        /// The side of the arm's feature maps.
        arm: usize,
        /// The side of the base's feature maps.
        base: usize,
    },
}

/// Returns how a study differs from one with a fixed design.
fn difference(fixed: &Design, own: Option<&Design>) -> &'static str {
    match own {
        None => "this command has none",
        Some(own) if own != fixed => "this command has others",
        Some(_) => "this command's runs are others (config, seeds, images, operations)",
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_arms_problem_follows_its_place() {
        let context = "ablation `lrn`, arm `off`, scale `mini`".to_owned();
        let problem = ArmProblem::MapSizes { layer: "conv1".to_owned(), arm: 13, base: 14 };
        assert_eq!(
            StudyError::Arm { context, problem }.to_string(),
            "ablation `lrn`, arm `off`, scale `mini`: `conv1` gives maps of 13×13 where the base gives \
             14×14; if it must, say `changes = [\"map-sizes\"]`"
        );
    }

    #[test]
    fn a_fixed_design_says_what_differs() {
        let (design, other) = (Design::new(6, 2), Design::new(8, 2));
        for (own, expected) in [
            (None, "this command has none"),
            (Some(other), "this command has others"),
            (Some(design.clone()), "this command's runs are others (config, seeds, images, operations)"),
        ] {
            let error = StudyError::DesignFixed { folder: "x".into(), design: design.clone(), own };
            let text = "x: the design of this study is fixed, looks at 4, 6 seeds over 2 arms, and";
            assert_eq!(error.to_string(), format!("{text} {expected}"));
        }
    }

    #[test]
    fn the_cause_is_in_the_text_and_in_the_chain() {
        let source = Box::new(TrainError::Locked { path: "run".into() });
        let error = StudyError::Train { context: "arm `off` on data set `mine`".to_owned(), source };
        let cause = error.source().unwrap().to_string();
        assert_eq!(error.to_string(), format!("arm `off` on data set `mine`: {cause}"));
    }
}
