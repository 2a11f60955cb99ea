//! The code and the machines that computed the runs of a comparison, and whether they could explain a
//! difference.

use std::collections::{BTreeMap, BTreeSet};

use alexnet_train::Session;
use serde::Serialize;

/// The factors other than config, seed and images that determine the bits of a run, and the commit for
/// people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version {
    /// `alexnet_train::RESULTS` of the program; absent for runs from before it existed.
    pub results: Option<u32>,
    /// The version of the code.
    pub code_version: String,
    /// The backend without a device number, and with `data-parallel` if batches were divided.
    pub backend: String,
    /// The form of the operations: `fast`, `direct` or `composed`.
    pub operations: String,
    /// The arithmetic: with or without fused multiply-add, which is all that the kernels on Flex depend on; else the
    /// processor's architecture and vector level.
    pub processor: String,
}

impl Version {
    /// Returns the version of a session of a run.
    pub fn of(session: &Session) -> Self {
        let kinds: Vec<&str> =
            session.backend.split(',').map(|name| name.split(':').next().unwrap_or(name)).collect();
        let divided = if session.device.starts_with("DataParallel") { " data-parallel" } else { "" };
        let backend = kinds.join(",") + divided;
        let processor = match (session.is_portable(), session.processor.ends_with("-nofma")) {
            (true, false) => "any processor with fused multiply-add".to_owned(),
            (true, true) => "any processor without fused multiply-add".to_owned(),
            (false, _) => session.processor.clone(),
        };
        Self {
            results: session.results,
            code_version: session.code_version.clone(),
            backend,
            operations: session.operations.clone(),
            processor,
        }
    }

    /// Returns a line of text.
    pub fn text(&self) -> String {
        let results = self
            .results
            .map_or("results before versions were counted".to_owned(), |n| format!("results {n}"));
        let Self { code_version, backend, operations, processor, .. } = self;
        format!("{results}, code {code_version}, {backend}, {operations}, {processor}")
    }
}

/// Returns the respects in which versions differ so that the same run could have other bits. Commits alone do
/// not count: with the same `RESULTS` they compute the same, by definition. If `RESULTS` is absent, the
/// commit replaces it.
pub fn differences(versions: &BTreeSet<Version>) -> Vec<&'static str> {
    let several = |of: fn(&Version) -> &str| versions.iter().map(of).collect::<BTreeSet<_>>().len() > 1;
    let results: BTreeSet<Option<u32>> = versions.iter().map(|version| version.results).collect();
    let mut found = Vec::new();
    if results.len() > 1 {
        found.push("results");
    } else if results.contains(&None) && several(|version| &version.code_version) {
        found.push("code");
    }
    for (what, of) in [
        ("operations", (|version| &version.operations) as fn(&Version) -> &str),
        ("backend", |version| &version.backend),
    ] {
        if several(of) {
            found.push(what);
        }
    }
    // What depends on the processor differs between backends, so processors are compared within each.
    let mut processors: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for version in versions {
        let computed = (&version.results, &version.operations, &version.backend);
        processors.entry(computed).or_default().insert(&version.processor);
    }
    if processors.values().any(|processors| processors.len() > 1) {
        found.push("processor");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(change: impl FnOnce(&mut Session)) -> Version {
        let mut session = Session {
            started: 0,
            from_epoch: 1,
            code_version: "0.1.0+aaaa".to_owned(),
            results: Some(2),
            backend: "cuda:0".to_owned(),
            operations: "fast".to_owned(),
            device: "Cuda(0)".to_owned(),
            processor: "x86_64-avx2".to_owned(),
            host: Some("here".to_owned()),
            threads: 2,
            workers: 1,
        };
        change(&mut session);
        Version::of(&session)
    }

    fn found(change: impl FnOnce(&mut Session)) -> Vec<&'static str> {
        differences(&[session(|_| {}), session(change)].into())
    }

    #[test]
    fn what_moves_bits_differs_and_the_rest_does_not() {
        assert_eq!(found(|_| {}), [""; 0]);
        assert_eq!(found(|session| session.code_version = "0.1.0+bbbb".to_owned()), [""; 0]);
        assert_eq!(
            found(|session| {
                session.backend = "cuda:1".to_owned();
                session.device = "Cuda(1)".to_owned();
                session.host = None;
                (session.threads, session.workers, session.from_epoch) = (9, 9, 9);
            }),
            [""; 0]
        );
        assert_eq!(found(|session| session.results = Some(3)), ["results"]);
        assert_eq!(found(|session| session.results = None), ["results"]);
        assert_eq!(found(|session| session.operations = "composed".to_owned()), ["operations"]);
        assert_eq!(found(|session| session.backend = "flex".to_owned()), ["backend"]);
        assert_eq!(found(|session| session.device = "DataParallel([..], First)".to_owned()), ["backend"]);
        assert_eq!(found(|session| session.processor = "x86_64-avx512f".to_owned()), ["processor"]);
    }

    #[test]
    fn without_a_number_the_commit_stands_for_it() {
        let older = |code: &str| {
            session(|session| {
                session.results = None;
                session.code_version = code.to_owned();
            })
        };
        assert_eq!(differences(&[older("a"), older("a")].into()), [""; 0]);
        assert_eq!(differences(&[older("a"), older("b")].into()), ["code"]);
    }
}
