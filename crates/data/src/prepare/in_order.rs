//! Works in parallel and hands the results over in order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;

use rayon::ThreadPool;

use crate::DataError;

/// The number of items that may be started before the items ahead of them are taken.
const AHEAD: usize = 64;

/// Runs `work` for each of `items` on the threads of `pool` and passes the results to `take`, in order and on this
/// thread. No thread waits for another while at most [`AHEAD`] items are started and not taken.
///
/// # Errors
/// The first error of `take`. Started items are finished, and no others are started.
pub(super) fn in_order<T: Send>(
    pool: &ThreadPool,
    items: Range<usize>,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (send, receive) = channel();
    let work = &work;
    pool.in_place_scope_fifo(|scope| {
        let begin = |at: usize| {
            let send = send.clone();
            scope.spawn_fifo(move |_| {
                // After an error nobody receives the result.
                let _ = send.send((at, catch_unwind(AssertUnwindSafe(|| work(at)))));
            });
        };
        let mut to_begin = items.clone();
        to_begin.by_ref().take(AHEAD).for_each(begin);
        let mut early = BTreeMap::new();
        for at in items {
            let result = loop {
                match early.remove(&at) {
                    Some(result) => break result,
                    None => early.extend(receive.recv()),
                }
            };
            take(result.unwrap_or_else(|panic| resume_unwind(panic)))?;
            to_begin.next().into_iter().for_each(begin);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap()
    }

    #[test]
    fn results_come_in_order_and_end_with_the_first_error() {
        let mut taken = Vec::new();
        let result = in_order(
            &pool(),
            5..1000,
            |at| at,
            |at| {
                taken.push(at);
                if at == 700 { Err(DataError::Interrupted) } else { Ok(()) }
            },
        );
        assert!(matches!(result, Err(DataError::Interrupted)));
        assert_eq!(taken, (5..=700).collect::<Vec<_>>());
        in_order(&pool(), 0..0, |at| at, |_| Ok(())).unwrap();
    }

    #[test]
    fn a_panic_of_the_work_ends_it() {
        let work = |at: usize| assert!(at < 90, "item {at}");
        let caught = catch_unwind(AssertUnwindSafe(|| in_order(&pool(), 0..200, work, |()| Ok(()))));
        assert!(caught.is_err());
    }
}
