//! Makes batches ahead of time on other threads, and hands them out in order.
//!
//! Worker w of W makes the items w, w + W, w + 2W, .. and puts them into a queue of its
//! own; the consumer reads the queues in turn. So the order is the same with any number
//! of workers, without a sort and without a lock.

use std::panic;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

/// An iterator over `make(first)`, `make(first + 1)`, .. made by worker threads.
///
/// Dropping it ends the workers.
///
/// # Panics
/// [`next`](Iterator::next) goes on with the panic of a `make` that panicked, in the place of its item.
#[derive(Debug)]
pub struct Prefetch<T> {
    workers: Vec<Worker<T>>,
    next: usize,
}

#[derive(Debug)]
struct Worker<T> {
    queue: Receiver<T>,
    /// None once it has been seen to end.
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts `n_workers` threads, each of which keeps up to `depth` finished items.
    pub fn new(
        range: std::ops::Range<u64>,
        n_workers: usize,
        depth: usize,
        make: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(make);
        let n_workers = n_workers.max(1);
        let workers = (0..n_workers)
            .map(|worker| {
                let (sender, queue) = sync_channel(depth.max(1));
                let make = Arc::clone(&make);
                let items = range.clone().skip(worker).step_by(n_workers);
                let thread = thread::spawn(move || {
                    for index in items {
                        if sender.send(make(index)).is_err() {
                            break;
                        }
                    }
                });
                Worker {
                    queue,
                    thread: Some(thread),
                }
            })
            .collect();
        Self { workers, next: 0 }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let worker = &mut self.workers[self.next];
        let item = worker.queue.recv().ok();
        if item.is_none()
            && let Some(thread) = worker.thread.take()
            && let Err(cause) = thread.join()
        {
            // Ending here would look as if all items had been made.
            panic::resume_unwind(cause);
        }
        self.next = (self.next + 1) % self.workers.len();
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_does_not_depend_on_the_workers() {
        let slow_square = |index: u64| {
            // Items of one worker take longer than those of another.
            thread::sleep(std::time::Duration::from_micros(50 * (index % 3)));
            index * index
        };
        let expected: Vec<u64> = (5..60).map(|index| index * index).collect();
        for n_workers in [1, 2, 8] {
            let items: Vec<u64> = Prefetch::new(5..60, n_workers, 2, slow_square).collect();
            assert_eq!(items, expected, "{n_workers} workers");
        }
    }

    #[test]
    fn a_panic_of_a_worker_is_one_of_the_consumer() {
        for n_workers in [1, 2, 8] {
            let mut items = Prefetch::new(0..20, n_workers, 2, |index| {
                assert!(index != 5, "no item 5");
                index
            });
            let before: Vec<u64> = items.by_ref().take(5).collect();
            assert_eq!(before, [0, 1, 2, 3, 4], "{n_workers} workers");
            let fifth = panic::catch_unwind(panic::AssertUnwindSafe(|| items.next()));
            let cause = fifth.expect_err("the panic goes on");
            let text = cause.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| cause.downcast_ref::<String>().cloned());
            assert_eq!(text.as_deref(), Some("no item 5"), "{n_workers} workers");
        }
    }

    #[test]
    fn dropping_ends_the_workers() {
        let made = Arc::new(());
        let held = Arc::clone(&made);
        let mut items = Prefetch::new(0..u64::MAX, 2, 1, move |index| {
            assert!(Arc::strong_count(&held) > 0);
            index
        });
        assert_eq!(items.next(), Some(0));
        drop(items);
        while Arc::strong_count(&made) > 1 {
            thread::yield_now();
        }
    }
}
