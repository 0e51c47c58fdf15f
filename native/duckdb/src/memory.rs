//! What aggregate states may have on the heap: memory that DuckDB's own limit does not see.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Outcome;

/// The most bytes for all states of this process together.
static HEAP_MAX: AtomicU64 = AtomicU64::new(u64::MAX);

/// The bytes that all states of this process have on the heap now.
pub fn used() -> u64 {
    (anabranch_sketch::state::heap_bytes() + anabranch_bitmap::bitmap::heap_bytes()) as u64
}

/// Set the most bytes.
pub fn allow(most: u64) {
    HEAP_MAX.store(most, Ordering::Relaxed);
}

/// Fail when the states of this process take more than was allowed.
pub fn require() -> Outcome {
    let most = HEAP_MAX.load(Ordering::Relaxed);
    if used() <= most {
        return Ok(());
    }
    Err(format!(
        "MEM_LIMIT_EXCEEDED: sketches and bitmaps need more than the {most} bytes allowed for them"
    ))
}
