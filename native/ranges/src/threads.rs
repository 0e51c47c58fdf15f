//! Work on many rows, side by side where that pays.

use rayon::prelude::*;

/// Rows below which waking other threads takes longer than what they would save.
const ROWS_MIN: usize = 16_384;

/// Maps items in order; `rows` says how large one is.
pub fn map<T, R>(
    items: &[T],
    rows: impl Fn(&T) -> usize,
    map: impl Fn(&T) -> R + Sync + Send,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    if items.len() < 2 || items.iter().map(rows).sum::<usize>() < ROWS_MIN {
        items.iter().map(map).collect()
    } else {
        items.par_iter().map(map).collect()
    }
}

/// Maps the numbers of rows from 0 on.
pub fn map_rows<R: Send>(rows: usize, map: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    if rows < 2 * ROWS_MIN {
        (0..rows).map(map).collect()
    } else {
        (0..rows)
            .into_par_iter()
            .with_min_len(ROWS_MIN)
            .map(map)
            .collect()
    }
}
