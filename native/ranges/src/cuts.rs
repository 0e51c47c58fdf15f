//! Where one range ends and the next begins: decided by paths alone.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::entries::{Entries, require_plain};
use crate::text::Run;
use crate::{Invalid, Result, threads};

const WEIGHT_BYTES: usize = 1_024;

/// Weights between which a range ends, and how fast its end becomes likely past the minimum.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub weight_min: u64,
    pub slope: u64,
    pub weight_max: u64,
}

impl Rule {
    pub fn new(weight_min: u64, slope: u64, weight_max: u64) -> Result<Self> {
        if weight_min == 0 || slope == 0 || weight_max < weight_min {
            return Err(Invalid::new(
                "weights of a cut rule must be positive and ascend",
            ));
        }
        Ok(Rule {
            weight_min,
            slope,
            weight_max,
        })
    }

    // The product saturates at 2^64 - 1, which is also the largest threshold.
    fn qualifies(&self, hash: u64, weight: u64) -> bool {
        hash < self.slope.saturating_mul(weight - self.weight_min + 1)
    }
}

/// One finished range. `end` counts the rows of the stream up to and with its last one. A range
/// cut by fallback depends on rows after it.
pub struct Cut {
    pub rows: Entries,
    pub is_fallback: bool,
    pub end: u64,
}

/// Cuts a stream of sorted rows into ranges.
pub struct Cutter {
    rule: Rule,
    pieces: VecDeque<Entries>,
    // Hash and weight of the rows that are in no finished range.
    rows: Vec<(u64, u32)>,
    scanned: usize,
    weight: u64,
    smallest: Option<(u64, usize)>,
    finished: u64,
}

impl Cutter {
    pub fn new(rule: Rule) -> Self {
        Cutter {
            rule,
            pieces: VecDeque::new(),
            rows: Vec::new(),
            scanned: 0,
            weight: 0,
            smallest: None,
            finished: 0,
        }
    }

    /// Rows given and in no finished range yet.
    pub fn pending(&self) -> usize {
        self.rows.len()
    }

    /// Rows given so far.
    pub fn taken(&self) -> u64 {
        self.finished + self.rows.len() as u64
    }

    /// Takes rows above all given before, and returns the ranges that are now finished.
    pub fn add(&mut self, entries: Entries) -> Result<Vec<Cut>> {
        require_plain(&entries)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.rows.extend(hash_rows(&entries));
        self.pieces.push_back(entries);
        let mut cuts = Vec::new();
        let mut start = 0;
        while let Some((last, is_fallback)) = self.scan(start) {
            let count = last + 1 - start;
            let rows = self.take(count)?;
            self.finished += count as u64;
            cuts.push(Cut {
                rows,
                is_fallback,
                end: self.finished,
            });
            start = last + 1;
            self.restart(start);
        }
        self.rows.drain(..start);
        self.scanned -= start;
        self.smallest = self.smallest.map(|(hash, row)| (hash, row - start));
        Ok(cuts)
    }

    /// Ends the stream: what is left is one range, unless nothing is.
    pub fn finish(&mut self) -> Result<Option<Entries>> {
        let count = self.rows.len();
        if count == 0 {
            return Ok(None);
        }
        let rows = self.take(count)?;
        self.finished += count as u64;
        self.rows.clear();
        self.restart(0);
        Ok(Some(rows))
    }

    fn restart(&mut self, start: usize) {
        self.scanned = start;
        self.weight = 0;
        self.smallest = None;
    }

    fn scan(&mut self, start: usize) -> Option<(usize, bool)> {
        debug_assert!(self.scanned >= start);
        while self.scanned < self.rows.len() {
            let row = self.scanned;
            let (hash, weight) = self.rows[row];
            let total = self.weight + u64::from(weight);
            if total > self.rule.weight_max {
                // Only a row heavier than the whole window leaves it without a candidate.
                return Some(self.smallest.map_or((row, false), |(_, best)| (best, true)));
            }
            self.weight = total;
            self.scanned += 1;
            if total >= self.rule.weight_min {
                if self.rule.qualifies(hash, total) {
                    return Some((row, false));
                }
                if self.smallest.is_none_or(|(best, _)| hash < best) {
                    self.smallest = Some((hash, row));
                }
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Result<Entries> {
        let mut taken: Vec<Entries> = Vec::new();
        let mut wanted = count;
        while wanted > 0 {
            let piece = self.pieces.pop_front().expect("as many rows as were given");
            let here = wanted.min(piece.len());
            if here < piece.len() {
                let rest = piece.slice(here, piece.len() - here);
                self.pieces.push_front(rest);
            }
            taken.push(piece.slice(0, here));
            wanted -= here;
        }
        compact(&taken)
    }
}

// A range is kept in memory by caches: it must not hold on to the large batch it was cut from.
fn compact(parts: &[Entries]) -> Result<Entries> {
    if let [part] = parts
        && part.path.data().len() <= 2 * part.path.bytes().len()
    {
        return Ok(part.clone());
    }
    let sources: Vec<&Entries> = parts.iter().collect();
    let mut runs: Vec<Run> = Vec::with_capacity(parts.len() + 1);
    for (source, part) in parts.iter().enumerate() {
        // Two runs, so that a single part is copied too.
        let half = part.len() / 2;
        runs.push(Run {
            source,
            start: 0,
            len: half,
        });
        runs.push(Run {
            source,
            start: half,
            len: part.len() - half,
        });
    }
    Entries::gather(&sources, &runs, None)
}

fn hash_rows(entries: &Entries) -> Vec<(u64, u32)> {
    threads::map_rows(entries.len(), |row| {
        let extra = (entries.path.length(row) + entries.metadata.length(row)) / WEIGHT_BYTES;
        (xxh3_64(entries.path.get(row)), 1 + extra as u32)
    })
}
