//! An audit: the statements of a paper, and the registered comparisons that test them.

use std::collections::BTreeMap;

use alexnet_config::{BuiltIn, check_name, load};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Registration, StudyError};

/// A list of statements: a file in `audits/`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Its name.
    pub name: String,
    /// A description in one sentence.
    pub about: String,
    /// The statements. Those to be trained first come first.
    pub statements: Vec<Statement>,
}

/// A statement of the paper, in this project's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its name, which links refer to.
    pub id: String,
    /// The section or figure.
    pub section: String,
    /// The statement.
    pub text: String,
    /// The paper's figure and its data, in words.
    pub paper: String,
    /// The paper's figure as a difference in the quantity's unit, for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper_difference: Option<f64>,
    /// The registration that tests it. Absent: it is not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<String>,
    /// The arm whose value the statement is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arm: String,
    /// The direction of the statement: the arm's value against the base's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Why it is not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untested: Option<String>,
}

/// The direction of a statement: the arm's value against the base's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The arm has a larger value.
    Higher,
    /// The arm has a smaller value.
    Lower,
}

impl Direction {
    /// Returns 1 or −1.
    pub fn sign(self) -> i8 {
        match self {
            Self::Higher => 1,
            Self::Lower => -1,
        }
    }
}

impl Audit {
    /// Reads one of `built_in` by its name, or a file by its path, and the registrations that it names. Returns them by
    /// their names.
    ///
    /// # Errors
    /// If a file is missing or invalid, or a statement does not fit its registration.
    pub fn load(
        built_in: &[BuiltIn],
        designs: &[BuiltIn],
        name: &str,
    ) -> Result<(Self, BTreeMap<String, Registration>), StudyError> {
        let mut audit: Self = load("audit", built_in, name)?;
        check_name("audit", &audit.name)?;
        // By what statements call them: a name or a path.
        let mut found: BTreeMap<String, Registration> = BTreeMap::new();
        for (place, statement) in audit.statements.iter().enumerate() {
            let Statement { id, design, arm, direction, untested, .. } = statement;
            check_name("statement", id)?;
            let problem = |problem: &str| Err(audit.invalid(format!("statement `{id}` {problem}")));
            if audit.statements[..place].iter().any(|before| before.id == *id) {
                return problem("occurs twice");
            }
            let Some(design) = design else {
                if untested.is_none() || !arm.is_empty() || direction.is_some() {
                    return problem("needs `design`, `arm` and `direction`, or `untested` alone");
                }
                continue;
            };
            if untested.is_some() || direction.is_none() {
                return problem("has a `design`: it needs `arm` and `direction`, and is not `untested`");
            }
            if !found.contains_key(design) {
                found.insert(design.clone(), Registration::load(designs, design)?);
            }
            if !found[design].arms.iter().any(|registered| registered.name == *arm) {
                return problem(&format!("is about arm `{arm}`, which design `{design}` does not have"));
            }
        }
        if audit.statements.is_empty() {
            return Err(audit.invalid("it has no `[[statements]]`".to_owned()));
        }
        for statement in &mut audit.statements {
            if let Some(design) = &mut statement.design {
                design.clone_from(&found[design].name);
            }
        }
        let number = found.len();
        let by_name: BTreeMap<String, Registration> =
            found.into_values().map(|registration| (registration.name.clone(), registration)).collect();
        if by_name.len() < number {
            return Err(audit.invalid("two designs have the same name".to_owned()));
        }
        Ok((audit, by_name))
    }

    /// Returns the names of the registrations, in the order of the statements.
    pub fn designs(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for design in self.statements.iter().filter_map(|statement| statement.design.as_deref()) {
            if !names.contains(&design) {
                names.push(design);
            }
        }
        names
    }

    fn invalid(&self, problem: String) -> StudyError {
        StudyError::Audit { name: self.name.clone(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: BuiltIn = BuiltIn {
        name: "d",
        toml: r#"
            name = "d"
            about = ""
            scale = "mini"
            ablation = "lrn"
            quantity = "test-error"
            seeds = 4
            first_seed = 10000
            diverged = "leave-out-pair"
            base_rate = 0.004
            arms = [{ name = "off", rate = 0.004, delta = 0.3, pilot_sd = 0.4 }]
        "#,
    };

    fn audit(statements: &str) -> Result<(Audit, BTreeMap<String, Registration>), StudyError> {
        let toml: &'static str = format!("name = \"a\"\nabout = \"\"\n{statements}").leak();
        Audit::load(&[BuiltIn { name: "a", toml }], &[DESIGN], "a")
    }

    fn statement(id: &str, rest: &str) -> String {
        format!("[[statements]]\nid = \"{id}\"\nsection = \"\"\ntext = \"\"\npaper = \"\"\n{rest}\n")
    }

    #[test]
    fn statements_are_tested_by_an_arm_or_say_why_not() {
        let tested = "design = \"d\"\narm = \"off\"\ndirection = \"higher\"";
        let both = statement("one", tested) + &statement("two", "untested = \"no images\"");
        let (audit_, designs) = audit(&both).unwrap();
        assert_eq!((audit_.designs(), designs.len()), (vec!["d"], 1));
        for (statements, problem) in [
            (statement("one", tested) + &statement("one", tested), "occurs twice"),
            (statement("one", ""), "needs `design`"),
            (statement("one", "design = \"d\"\narm = \"off\""), "needs `arm` and `direction`"),
            (statement("one", &tested.replace("off", "on")), "does not have"),
            (statement("one", &tested.replace("\"d\"", "\"e\"")), "`e`"),
            (statement("a b", tested), "a b"),
            (String::new(), "statements"),
        ] {
            let error = audit(&statements).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
