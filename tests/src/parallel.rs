//! Runs out of seeds, one after another, on all threads.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Takes every number of a range in its order, until one breaks off; those under way are ended. How many were taken.
pub fn on_all_threads(numbers: Range<u64>, each: impl Fn(u64) -> ControlFlow<()> + Sync) -> u64 {
    let (next, over) = (AtomicU64::new(numbers.start), AtomicBool::new(false));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    if each(number).is_break() {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    next.into_inner().min(numbers.end) - numbers.start
}
