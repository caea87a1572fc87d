//! Independent pieces of work on several threads, results in the order of the pieces.

use std::sync::Mutex;
use std::thread;

/// Applies `work` to every item, on up to `n_threads` threads.
///
/// Which thread takes which item is left to chance; the results come in order, so a
/// caller that folds them gets the same bits with any number of threads.
pub(crate) fn map_in_order<T: Send, R: Send>(
    items: Vec<T>,
    n_threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    if n_threads <= 1 || items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    let n_threads = n_threads.min(items.len());
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let queue = Mutex::new(items.into_iter().zip(&mut results));
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                while let Some((item, result)) = next() {
                    *result = Some(work(item));
                }
            });
        }
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_with_any_number_of_threads() {
        for n_threads in [1, 2, 5, 100] {
            let squares = map_in_order((0..20).collect(), n_threads, |n: u64| {
                thread::sleep(std::time::Duration::from_micros(100 * (20 - n)));
                n * n
            });
            assert_eq!(squares, (0..20).map(|n| n * n).collect::<Vec<_>>());
        }
    }
}
