//! Makes batches ahead of time on other threads, and hands them out in order.
//!
//! Worker w of W makes the items w, w + W, w + 2W, .. and puts them into a queue of its
//! own; the consumer reads the queues in turn. So the order is the same with any number
//! of workers, without a sort and without a lock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// An iterator over `make(first)`, `make(first + 1)`, .. made by worker threads.
///
/// Dropping it ends the workers.
#[derive(Debug)]
pub struct Prefetch<T> {
    queues: Vec<Receiver<T>>,
    next: usize,
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
        let queues = (0..n_workers)
            .map(|worker| {
                let (sender, queue) = sync_channel(depth.max(1));
                let make = Arc::clone(&make);
                let items = range.clone().skip(worker).step_by(n_workers);
                thread::spawn(move || {
                    for index in items {
                        if sender.send(make(index)).is_err() {
                            break;
                        }
                    }
                });
                queue
            })
            .collect();
        Self { queues, next: 0 }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let item = self.queues[self.next].recv().ok();
        self.next = (self.next + 1) % self.queues.len();
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
