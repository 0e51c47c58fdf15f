//! A bitmap in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::container::{Container, Operation};
use crate::{Result, bytes};

const FEW: usize = 5;
/// What a container takes in a tree beside its own bytes (measured), and a tree of one container.
const ENTRY_BYTES: usize = 96;
const TREE_BYTES: usize = 512;

static HEAP: AtomicUsize = AtomicUsize::new(0);

/// Return the bytes that all bitmaps of this process have on the heap now.
pub fn heap_bytes() -> usize {
    HEAP.load(Ordering::Relaxed)
}

/// Containers by all but the low 16 bits of their numbers; their bytes are counted.
#[derive(Debug, Default)]
pub struct Containers {
    by_key: BTreeMap<u64, Container>,
    bytes: usize,
}

impl Containers {
    fn count(&mut self, change: impl FnOnce(&mut usize)) {
        let before = self.bytes;
        change(&mut self.bytes);
        if self.bytes >= before {
            HEAP.fetch_add(self.bytes - before, Ordering::Relaxed);
        } else {
            HEAP.fetch_sub(before - self.bytes, Ordering::Relaxed);
        }
    }

    /// Change the container of a key by `change`, or put `new` there.
    fn change(
        &mut self,
        key: u64,
        new: impl FnOnce() -> Container,
        change: impl FnOnce(&mut Container),
    ) {
        let (before, after) = match self.by_key.entry(key) {
            Entry::Vacant(place) => {
                let container = place.insert(new());
                (0, ENTRY_BYTES + container.heap_bytes())
            }
            Entry::Occupied(mut place) => {
                let container = place.get_mut();
                let before = container.heap_bytes();
                change(container);
                (before, container.heap_bytes())
            }
        };
        if before != after {
            let first = if self.bytes == 0 { TREE_BYTES } else { 0 };
            self.count(|bytes| *bytes = *bytes + first + after - before);
        }
    }

    fn add(&mut self, number: u64) {
        let low = number as u16;
        self.change(
            number >> 16,
            || Container::single(low),
            |container| container.add(low),
        );
    }

    fn of(by_key: BTreeMap<u64, Container>) -> Self {
        let each = by_key.values().map(|one| ENTRY_BYTES + one.heap_bytes());
        let bytes = TREE_BYTES + each.sum::<usize>();
        HEAP.fetch_add(bytes, Ordering::Relaxed);
        Containers { by_key, bytes }
    }
}

impl Clone for Containers {
    fn clone(&self) -> Self {
        Containers::of(self.by_key.clone())
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        HEAP.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A set of numbers: up to five in place, ascending, more in containers.
///
/// It may be moved byte by byte, as any Rust value.
#[derive(Clone, Debug)]
pub enum Bitmap {
    Few { used: u8, numbers: [u64; FEW] },
    Many(Containers),
}

impl Default for Bitmap {
    fn default() -> Self {
        Bitmap::new()
    }
}

impl FromIterator<u64> for Bitmap {
    fn from_iter<T: IntoIterator<Item = u64>>(numbers: T) -> Self {
        let mut bitmap = Bitmap::new();
        numbers.into_iter().for_each(|number| bitmap.add(number));
        bitmap
    }
}

impl Bitmap {
    pub const fn new() -> Self {
        Bitmap::Few {
            used: 0,
            numbers: [0; FEW],
        }
    }

    /// Return the bitmap of containers by their keys.
    pub fn of_containers(by_key: BTreeMap<u64, Container>) -> Self {
        let sizes = by_key.values().try_fold(0, |sum: usize, container| {
            let sum = sum + container.len();
            (sum <= FEW).then_some(sum)
        });
        if sizes.is_none() {
            return Bitmap::Many(Containers::of(by_key));
        }
        let mut few = Bitmap::new();
        for (key, container) in &by_key {
            container.each(|low| few.add(key << 16 | u64::from(low)));
        }
        few
    }

    /// Read stored bytes.
    pub fn decode(data: &[u8]) -> Result<Self> {
        bytes::decode(data)
    }

    /// Append the stored form; equal sets have equal bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        bytes::encode(self, out);
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Bitmap::Few { used: 0, .. })
    }

    pub fn len(&self) -> u64 {
        match self {
            Bitmap::Few { used, .. } => u64::from(*used),
            Bitmap::Many(many) => many.by_key.values().map(|one| one.len() as u64).sum(),
        }
    }

    pub fn contains(&self, number: u64) -> bool {
        match self {
            Bitmap::Few { used, numbers } => numbers[..usize::from(*used)].contains(&number),
            Bitmap::Many(many) => many
                .by_key
                .get(&(number >> 16))
                .is_some_and(|container| container.contains(number as u16)),
        }
    }

    pub fn min(&self) -> Option<u64> {
        match self {
            Bitmap::Few { used, numbers } => numbers[..usize::from(*used)].first().copied(),
            Bitmap::Many(many) => many
                .by_key
                .first_key_value()
                .map(|(key, container)| key << 16 | u64::from(container.min())),
        }
    }

    pub fn max(&self) -> Option<u64> {
        match self {
            Bitmap::Few { used, numbers } => numbers[..usize::from(*used)].last().copied(),
            Bitmap::Many(many) => many
                .by_key
                .last_key_value()
                .map(|(key, container)| key << 16 | u64::from(container.max())),
        }
    }

    /// Call `visit` with each number, ascending, until it says false.
    pub fn each(&self, mut visit: impl FnMut(u64) -> bool) {
        match self {
            Bitmap::Few { used, numbers } => {
                let _ = numbers[..usize::from(*used)].iter().all(|&one| visit(one));
            }
            Bitmap::Many(many) => {
                for (key, container) in &many.by_key {
                    let mut goes_on = true;
                    container.each(|low| {
                        goes_on = goes_on && visit(key << 16 | u64::from(low));
                    });
                    if !goes_on {
                        return;
                    }
                }
            }
        }
    }

    /// Add one number.
    pub fn add(&mut self, number: u64) {
        match self {
            Bitmap::Many(many) => many.add(number),
            Bitmap::Few { used, numbers } => {
                let count = usize::from(*used);
                let place = numbers[..count].partition_point(|&known| known < number);
                if place < count && numbers[place] == number {
                    return;
                }
                if count < FEW {
                    numbers.copy_within(place..count, place + 1);
                    numbers[place] = number;
                    *used += 1;
                } else {
                    self.many().add(number);
                }
            }
        }
    }

    /// Go over to containers.
    fn many(&mut self) -> &mut Containers {
        if let Bitmap::Few { used, numbers } = self {
            let mut many = Containers::default();
            numbers[..usize::from(*used)]
                .iter()
                .for_each(|&number| many.add(number));
            *self = Bitmap::Many(many);
        }
        match self {
            Bitmap::Many(many) => many,
            Bitmap::Few { .. } => unreachable!("containers were put here above"),
        }
    }

    /// Add all of another.
    pub fn unite(&mut self, other: &Bitmap) {
        match other {
            Bitmap::Few { used, numbers } => {
                numbers[..usize::from(*used)]
                    .iter()
                    .for_each(|&number| self.add(number));
            }
            Bitmap::Many(theirs) => {
                let ours = self.many();
                for (&key, container) in &theirs.by_key {
                    ours.change(key, || container.clone(), |one| one.unite(container));
                }
            }
        }
    }

    /// Call `read` with the containers by their keys.
    pub fn read<T>(&self, read: impl FnOnce(&BTreeMap<u64, Container>) -> T) -> T {
        match self {
            Bitmap::Many(many) => read(&many.by_key),
            Bitmap::Few { .. } => read(&self.clone().many().by_key),
        }
    }

    /// Return what an operation leaves of two sets.
    pub fn operate(operation: Operation, mut left: Bitmap, mut right: Bitmap) -> Bitmap {
        let (one, two) = (
            std::mem::take(&mut left.many().by_key),
            std::mem::take(&mut right.many().by_key),
        );
        let mut out = BTreeMap::new();
        let (mut one, mut two) = (one.into_iter().peekable(), two.into_iter().peekable());
        loop {
            let order = match (one.peek(), two.peek()) {
                (Some((low, _)), Some((high, _))) => low.cmp(high),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            let found = match order {
                std::cmp::Ordering::Less => one.next().filter(|_| operation.keeps_left()),
                std::cmp::Ordering::Greater => two.next().filter(|_| operation.keeps_right()),
                std::cmp::Ordering::Equal => one.next().zip(two.next()).and_then(|(one, two)| {
                    let left = Container::operate(operation, &one.1, &two.1)?;
                    Some((one.0, left))
                }),
            };
            out.extend(found);
        }
        Bitmap::of_containers(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bitmap: &Bitmap) -> Vec<u64> {
        let mut found = Vec::new();
        bitmap.each(|number| {
            found.push(number);
            true
        });
        found
    }

    #[test]
    fn a_state_fits_in_one_cache_line() {
        assert!(size_of::<Bitmap>() <= 64);
    }

    #[test]
    fn numbers_come_back_ascending() {
        for count in [0, 1, 5, 6, 4_096, 4_097, 70_000] {
            let wanted: Vec<u64> = (0..count).map(|number| number * 3).collect();
            let bitmap: Bitmap = wanted.iter().rev().copied().collect();
            assert_eq!(numbers(&bitmap), wanted);
            assert_eq!(bitmap.len(), count);
            assert_eq!(bitmap.max(), wanted.last().copied());
            assert_eq!(bitmap.min(), wanted.first().copied());
        }
    }

    #[test]
    fn memory_is_given_back() {
        let bitmap: Bitmap = (0..1 << 18).collect();
        assert!(heap_bytes() > 8 << 10);
        let Bitmap::Many(many) = &bitmap else {
            panic!("so many are not kept in place");
        };
        let counted = many
            .by_key
            .values()
            .map(|one| ENTRY_BYTES + one.heap_bytes());
        assert_eq!(many.bytes, TREE_BYTES + counted.sum::<usize>());
    }
}
