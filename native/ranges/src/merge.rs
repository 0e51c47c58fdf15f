//! Changes onto a base, and three sides into changes.

use arrow_buffer::Buffer;
use arrow_data::ArrayData;

use crate::arrow;
use crate::diff::Kind;
use crate::entries::{Entries, is_equal, is_same};
use crate::text::{Run, Text, push_run};
use crate::{Invalid, Result, threads};

/// What changes did to a base; `unchanged` rows were replaced by rows of equal content.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
    pub unchanged: u64,
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            added: self.added + other.added,
            changed: self.changed + other.changed,
            removed: self.removed + other.removed,
            unchanged: self.unchanged + other.unchanged,
        }
    }
}

/// Base rows with changes laid over them. When the base is `is_cleared`, its rows go unless a
/// change brings their path back; they still decide what counts as added or changed.
pub fn merge(base: &Entries, changes: &Entries, is_cleared: bool) -> Result<(Entries, Counts)> {
    let mut counts = Counts::default();
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    for row in 0..changes.len() {
        let path = changes.path.get(row);
        let next = base.path.lower_bound(at, path);
        if is_cleared {
            counts.removed += (next - at) as u64;
        } else {
            push_run(&mut runs, 0, at, next - at);
        }
        at = next;
        let is_present = at < base.len() && base.path.get(at) == path;
        if changes.is_tombstone(row) {
            counts.removed += u64::from(is_present);
        } else {
            push_run(&mut runs, 1, row, 1);
            if !is_present {
                counts.added += 1;
            } else if is_same(base, at, changes, row) {
                counts.unchanged += 1;
            } else {
                counts.changed += 1;
            }
        }
        at += usize::from(is_present);
    }
    if is_cleared {
        counts.removed += (base.len() - at) as u64;
    } else {
        push_run(&mut runs, 0, at, base.len() - at);
    }
    Ok((Entries::gather(&[base, changes], &runs, None)?, counts))
}

/// Merges many independent bases at once.
pub fn merge_many(jobs: &[(Entries, Entries, bool)]) -> Result<(Vec<Entries>, Counts)> {
    let rows = |(base, changes, _): &(Entries, Entries, bool)| base.len() + changes.len();
    let done: Vec<(Entries, Counts)> = threads::map(jobs, rows, |(base, changes, is_cleared)| {
        merge(base, changes, *is_cleared)
    })
    .into_iter()
    .collect::<Result<_>>()?;
    let counts = done
        .iter()
        .fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
    Ok((done.into_iter().map(|(rows, _)| rows).collect(), counts))
}

/// Who wins where both sides changed a path differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody: the path is a conflict and dest's row stays.
    Report,
    Source,
    Dest,
}

impl Strategy {
    pub fn from_code(code: u8) -> Result<Self> {
        match code {
            0 => Ok(Strategy::Report),
            1 => Ok(Strategy::Source),
            2 => Ok(Strategy::Dest),
            _ => Err(Invalid::new("unknown merge strategy")),
        }
    }
}

/// Three aligned runs of rows: all paths of one interval on each side.
pub struct Sides {
    pub base: Entries,
    pub source: Entries,
    pub dest: Entries,
}

#[derive(Default)]
struct Decisions {
    runs: Vec<Run>,
    tombstone: Vec<u8>,
    conflicts: Vec<(Run, Kind, Kind)>,
}

impl Decisions {
    // A row is named by its side in `Sides`: 0 base, 1 source, 2 dest.
    fn take_source(&mut self, base: Option<usize>, source: Option<usize>) {
        match (base, source) {
            (_, Some(row)) => {
                push_run(&mut self.runs, 1, row, 1);
                self.tombstone.push(0);
            }
            (Some(row), None) => {
                push_run(&mut self.runs, 0, row, 1);
                self.tombstone.push(1);
            }
            (None, None) => {}
        }
    }
}

type RowTest = fn(&Entries, usize, &Entries, usize) -> bool;

// Absence is a value: two absent rows are equal, an absent and a present one are not.
fn holds(test: RowTest, left: (&Entries, Option<usize>), right: (&Entries, Option<usize>)) -> bool {
    match (left.1, right.1) {
        (None, None) => true,
        (Some(at), Some(other)) => test(left.0, at, right.0, other),
        _ => false,
    }
}

fn decide(sides: &Sides, strategy: Strategy) -> Decisions {
    let (base, source, dest) = (&sides.base, &sides.source, &sides.dest);
    let mut out = Decisions::default();
    let (mut b, mut s, mut d) = (0, 0, 0);
    while b < base.len() || s < source.len() {
        let (in_base, in_source) = next_rows(base, b, source, s);
        b += usize::from(in_base.is_some());
        s += usize::from(in_source.is_some());
        let (of_base, of_source) = ((base, in_base), (source, in_source));
        if holds(is_equal, of_source, of_base) {
            continue;
        }
        let path = match (in_source, in_base) {
            (Some(row), _) => source.path.get(row),
            (None, row) => base.path.get(row.expect("one side has the path")),
        };
        d = dest.path.lower_bound(d, path);
        let in_dest = (d < dest.len() && dest.path.get(d) == path).then_some(d);
        let of_dest = (dest, in_dest);
        if holds(is_equal, of_dest, of_base) {
            out.take_source(in_base, in_source);
        } else if holds(is_same, of_source, of_dest) {
            // Dest's row stays: both sides did the same.
        } else if holds(is_same, of_dest, of_base) {
            out.take_source(in_base, in_source);
        } else if holds(is_same, of_source, of_base) || strategy == Strategy::Dest {
            // Dest's row stays: source changed nothing that counts, or does not matter.
        } else if strategy == Strategy::Source {
            out.take_source(in_base, in_source);
        } else {
            let named = match (in_source, in_base) {
                (Some(row), _) => Run {
                    source: 1,
                    start: row,
                    len: 1,
                },
                (None, row) => Run {
                    source: 0,
                    start: row.expect("one side has it"),
                    len: 1,
                },
            };
            out.conflicts.push((
                named,
                Kind::of(in_base, in_source),
                Kind::of(in_base, in_dest),
            ));
        }
    }
    out
}

/// The rows of the smaller path of two sides at their positions.
pub fn next_rows(
    left: &Entries,
    at: usize,
    right: &Entries,
    other: usize,
) -> (Option<usize>, Option<usize>) {
    if at >= left.len() {
        return (None, Some(other));
    }
    if other >= right.len() {
        return (Some(at), None);
    }
    match left.path.get(at).cmp(right.path.get(other)) {
        std::cmp::Ordering::Less => (Some(at), None),
        std::cmp::Ordering::Equal => (Some(at), Some(other)),
        std::cmp::Ordering::Greater => (None, Some(other)),
    }
}

/// What turns dest into the merge, as changes (a row, or a tombstone for a path dest may hold),
/// and the conflicts: path, source's kind and dest's kind of change since the base.
pub fn three_way(jobs: &[Sides], strategy: Strategy) -> Result<(Entries, ArrayData)> {
    let rows = |sides: &Sides| sides.base.len() + sides.source.len();
    let decisions = threads::map(jobs, rows, |sides| decide(sides, strategy));
    let sources: Vec<&Entries> = jobs
        .iter()
        .flat_map(|sides| [&sides.base, &sides.source])
        .collect();
    let paths: Vec<&Text> = sources.iter().map(|entries| &entries.path).collect();
    let mut runs = Vec::new();
    let mut tombstone = Vec::new();
    let mut conflicts = Vec::new();
    let (mut source_kinds, mut dest_kinds) = (Vec::new(), Vec::new());
    for (job, decided) in decisions.into_iter().enumerate() {
        let moved = |run: Run| Run {
            source: 2 * job + run.source,
            ..run
        };
        runs.extend(decided.runs.into_iter().map(moved));
        tombstone.extend(decided.tombstone);
        for (run, of_source, of_dest) in decided.conflicts {
            conflicts.push(moved(run));
            source_kinds.push(of_source as i8);
            dest_kinds.push(of_dest as i8);
        }
    }
    let changes = Entries::gather(&sources, &runs, Some(Buffer::from_vec(tombstone)))?;
    let found = arrow::batch(
        conflicts.len(),
        vec![
            (
                "path",
                arrow::text_array(&Text::gather(&paths, &conflicts)?),
            ),
            ("source_kind", arrow::byte_array(source_kinds)),
            ("dest_kind", arrow::byte_array(dest_kinds)),
        ],
    );
    Ok((changes, found))
}
