//! The kernels that GPU backends launch, by name.

use std::sync::Arc;

/// The number of launches of one kernel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LaunchCount {
    /// The kernel's name, without its type arguments.
    pub kernel: String,
    /// The number of launches.
    pub launches: usize,
}

/// Calls `heard` with the name of every kernel that any thread launches until the returned guard is dropped. On the processor
/// there are none.
///
/// `heard` is called on the launching thread before the launch. It must be quick and must not launch kernels.
#[must_use = "launches are heard until this is dropped"]
pub fn on_launch(heard: Arc<dyn Fn(&str) + Send + Sync>) -> impl Sized {
    watching::watch(heard)
}

/// Runs `work` and returns how often it launches each kernel, the most frequent first. `work` must wait for its device, because
/// launches are queued.
///
/// Other threads' launches count too. On the processor there are none.
pub fn count_launches<T>(work: impl FnOnce() -> T) -> (T, Vec<LaunchCount>) {
    let counts = Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new()));
    let counted = counts.clone();
    let guard = on_launch(Arc::new(move |kernel: &str| {
        let mut counts = counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *counts.entry(kernel.to_owned()).or_default() += 1;
    }));
    let value = work();
    drop(guard);
    let counts = std::mem::take(&mut *counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let mut counts: Vec<LaunchCount> =
        counts.into_iter().map(|(kernel, launches)| LaunchCount { kernel, launches }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.launches));
    (value, counts)
}

#[cfg(feature = "gpu")]
mod watching {
    use std::sync::Arc;

    use burn_cubecl::cubecl::config::{TypeNameFormatLevel, type_name_format};
    use burn_cubecl::cubecl::logging::{LaunchObservation, LaunchObserver};

    struct Heard(Arc<dyn Fn(&str) + Send + Sync>);

    impl LaunchObserver for Heard {
        fn launched(&self, kernel: &'static str) {
            (self.0)(&type_name_format(kernel, TypeNameFormatLevel::Short));
        }
    }

    pub(super) fn watch(heard: Arc<dyn Fn(&str) + Send + Sync>) -> LaunchObservation {
        LaunchObservation::new(Arc::new(Heard(heard)))
    }
}

#[cfg(not(feature = "gpu"))]
mod watching {
    use std::sync::Arc;

    /// Nothing is launched.
    pub(super) struct Nothing;

    pub(super) fn watch(_: Arc<dyn Fn(&str) + Send + Sync>) -> Nothing {
        Nothing
    }
}
