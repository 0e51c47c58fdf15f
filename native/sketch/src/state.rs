//! A sketch in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bytes::{self, View};
use crate::{EXPLICIT_MAX, REGISTER_MAX, REGISTERS, Result, SPARSE_MAX, estimate};

const RANK_GUARD: u64 = 1 << 50;
const FEW: usize = 7;

static HEAP: AtomicUsize = AtomicUsize::new(0);

/// Return the bytes that all sketches of this process have on the heap now.
pub fn heap_bytes() -> usize {
    HEAP.load(Ordering::Relaxed)
}

/// Ask for the cache line of an address that is used soon.
#[inline(always)]
pub fn fetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Registers on the heap, counted as long as they live.
#[derive(Debug)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Registers {
    fn new() -> Self {
        HEAP.fetch_add(REGISTERS, Ordering::Relaxed);
        // Zeroed pages of the allocator are cheaper than an array on the stack, copied.
        let zeros: Box<[u8]> = vec![0; REGISTERS].into_boxed_slice();
        match zeros.try_into() {
            Ok(registers) => Registers(registers),
            Err(_) => unreachable!("a slice of that length is that array"),
        }
    }

    #[inline(always)]
    fn update(&mut self, hash: u64) {
        let register = &mut self.0[hash as usize % REGISTERS];
        let rank = ((hash >> 14 | RANK_GUARD).trailing_zeros() + 1) as u8;
        // Seldom true once a few values went in, and a store would make the next load wait.
        if *register < rank {
            *register = rank;
        }
    }

    fn merge(&mut self, other: &[u8; REGISTERS]) {
        for (register, &value) in self.0.iter_mut().zip(other) {
            *register = (*register).max(value);
        }
    }
}

impl Clone for Registers {
    fn clone(&self) -> Self {
        HEAP.fetch_add(REGISTERS, Ordering::Relaxed);
        Registers(self.0.clone())
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        HEAP.fetch_sub(REGISTERS, Ordering::Relaxed);
    }
}

/// A set of hashes in open addressing, 0 standing for a free place; counted as registers are.
#[derive(Debug)]
pub struct Table {
    slots: Box<[u64]>,
    used: u16,
    has_zero: bool,
}

impl Clone for Table {
    fn clone(&self) -> Self {
        HEAP.fetch_add(size_of_val(&*self.slots), Ordering::Relaxed);
        Table {
            slots: self.slots.clone(),
            used: self.used,
            has_zero: self.has_zero,
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        HEAP.fetch_sub(size_of_val(&*self.slots), Ordering::Relaxed);
    }
}

impl Table {
    fn new(slots: usize) -> Self {
        HEAP.fetch_add(slots * size_of::<u64>(), Ordering::Relaxed);
        Table {
            slots: vec![0; slots].into_boxed_slice(),
            used: 0,
            has_zero: false,
        }
    }

    fn len(&self) -> usize {
        usize::from(self.used) + usize::from(self.has_zero)
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let zero = self.has_zero.then_some(0);
        zero.into_iter()
            .chain(self.slots.iter().copied().filter(|&hash| hash != 0))
    }

    /// Return where `hash` is (not 0), or the free place for it.
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = (hash >> 32) as usize & mask;
        while self.slots[place] != hash && self.slots[place] != 0 {
            place = (place + 1) & mask;
        }
        place
    }

    /// Put `hash` in and return true, unless it is a new one and all places are taken.
    #[inline]
    fn insert(&mut self, hash: u64) -> bool {
        if hash == 0 {
            let fits = self.has_zero || self.len() < EXPLICIT_MAX;
            self.has_zero |= fits;
            return fits;
        }
        let mut place = self.place(hash);
        if self.slots[place] == hash {
            return true;
        }
        if self.len() == EXPLICIT_MAX {
            return false;
        }
        if (usize::from(self.used) + 1) * 4 > self.slots.len() * 3 {
            self.grow();
            place = self.place(hash);
        }
        self.slots[place] = hash;
        self.used += 1;
        true
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Table::new(self.slots.len() * 2);
        for &hash in self.slots.iter().filter(|&&hash| hash != 0) {
            let place = larger.place(hash);
            larger.slots[place] = hash;
        }
        std::mem::swap(&mut self.slots, &mut larger.slots);
    }
}

/// A sketch: up to seven hashes in place, up to 160 in a table, then registers.
///
/// It may be moved byte by byte, as any Rust value. What it holds depends on the set that went in,
/// never on the order or the grouping of unions.
#[derive(Clone, Debug)]
pub enum Sketch {
    Few { used: u8, hashes: [u64; FEW] },
    Many(Table),
    Registers(Registers),
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch::new()
    }
}

impl Sketch {
    pub const fn new() -> Self {
        Sketch::Few {
            used: 0,
            hashes: [0; FEW],
        }
    }

    /// Read stored bytes.
    pub fn decode(data: &[u8]) -> Result<Self> {
        let mut sketch = Sketch::new();
        sketch.merge_bytes(data)?;
        Ok(sketch)
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Sketch::Few { used: 0, .. })
    }

    /// Add one hash.
    #[inline(always)]
    pub fn update(&mut self, hash: u64) {
        match self {
            Sketch::Registers(registers) => registers.update(hash),
            Sketch::Few { used, hashes } => {
                let count = usize::from(*used);
                if hashes[..count.min(FEW)].contains(&hash) {
                    return;
                }
                if count < FEW {
                    hashes[count] = hash;
                    *used += 1;
                } else {
                    self.widen(hash);
                }
            }
            Sketch::Many(table) => {
                if !table.insert(hash) {
                    self.registers().update(hash);
                }
            }
        }
    }

    /// Add hashes, those that are 0 left out.
    pub fn update_all(&mut self, hashes: &[u64]) {
        let mut hashes = hashes.iter().filter(|&&hash| hash != 0);
        // What is found out once need not be asked for each hash.
        while !matches!(self, Sketch::Registers(_)) {
            let Some(&hash) = hashes.next() else { return };
            self.update(hash);
        }
        if let Sketch::Registers(registers) = self {
            hashes.for_each(|&hash| registers.update(hash));
        }
    }

    /// Ask for the cache line that an update by `hash` is going to touch.
    #[inline(always)]
    pub fn fetch(&self, hash: u64) {
        match self {
            Sketch::Registers(registers) => fetch(&registers.0[hash as usize % REGISTERS]),
            Sketch::Many(table) => {
                fetch(&table.slots[(hash >> 32) as usize & (table.slots.len() - 1)]);
            }
            Sketch::Few { .. } => {}
        }
    }

    /// Go over to a table, for one hash more than fits in place.
    #[cold]
    fn widen(&mut self, hash: u64) {
        let mut table = Table::new((2 * FEW).next_power_of_two());
        self.each(|known| {
            table.insert(known);
        });
        table.insert(hash);
        *self = Sketch::Many(table);
    }

    /// Call `visit` with each hash; with none when there are registers.
    fn each(&self, mut visit: impl FnMut(u64)) {
        match self {
            Sketch::Few { used, hashes } => {
                hashes[..usize::from(*used)]
                    .iter()
                    .for_each(|&hash| visit(hash));
            }
            Sketch::Many(table) => table.iter().for_each(visit),
            Sketch::Registers(_) => {}
        }
    }

    /// Go over to registers where there are none yet.
    fn registers(&mut self) -> &mut Registers {
        if !matches!(self, Sketch::Registers(_)) {
            let mut registers = Registers::new();
            self.each(|hash| registers.update(hash));
            *self = Sketch::Registers(registers);
        }
        match self {
            Sketch::Registers(registers) => registers,
            _ => unreachable!("registers were put here above"),
        }
    }

    /// Add all of `other`.
    pub fn merge(&mut self, other: &Sketch) {
        match other {
            Sketch::Registers(theirs) if self.is_empty() => {
                *self = Sketch::Registers(theirs.clone());
            }
            Sketch::Registers(theirs) => self.registers().merge(&theirs.0),
            // A table of another is copied whole: finding the place of each hash costs more.
            Sketch::Many(table) if self.is_empty() => *self = Sketch::Many(table.clone()),
            _ => other.each(|hash| self.update(hash)),
        }
    }

    /// Add all of a stored sketch.
    #[inline(always)]
    pub fn merge_view(&mut self, view: &View<'_>) {
        match view {
            View::Empty => {}
            View::Explicit(hashes) => {
                for hash in *hashes {
                    self.update(u64::from_le_bytes(*hash));
                }
            }
            View::Sparse(theirs) => {
                let registers = self.registers();
                for &[low, high, value] in *theirs {
                    // In range: the view was checked.
                    let index = usize::from(u16::from_le_bytes([low, high])) % REGISTERS;
                    let register = &mut registers.0[index];
                    *register = (*register).max(value);
                }
            }
            View::Full(theirs) => self.registers().merge(theirs),
        }
    }

    /// Add all of a stored sketch, given as bytes. On an error nothing was added.
    #[inline(always)]
    pub fn merge_bytes(&mut self, data: &[u8]) -> Result<()> {
        self.merge_view(&View::parse(data)?);
        Ok(())
    }

    /// The number of distinct values, exact up to 160 distinct hashes.
    pub fn estimate(&self) -> u64 {
        match self {
            Sketch::Few { used, .. } => u64::from(*used),
            Sketch::Many(table) => table.len() as u64,
            Sketch::Registers(registers) => estimate::by_registers(&registers.0),
        }
    }

    /// Append the stored form: hashes and registers ascending, so that equal sets have equal bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let registers = match self {
            Sketch::Registers(registers) => &registers.0,
            _ => return self.encode_hashes(out),
        };
        debug_assert!(registers.iter().all(|&value| value <= REGISTER_MAX));
        let used = registers.iter().filter(|&&value| value != 0).count();
        if used > SPARSE_MAX {
            out.reserve(bytes::BYTES_MAX);
            out.push(bytes::FULL);
            out.extend_from_slice(&registers[..]);
            return;
        }
        out.reserve(5 + 3 * used);
        out.push(bytes::SPARSE);
        out.extend_from_slice(&(used as u32).to_le_bytes());
        for (index, &value) in registers.iter().enumerate() {
            if value != 0 {
                let [low, high] = (index as u16).to_le_bytes();
                out.extend_from_slice(&[low, high, value]);
            }
        }
    }

    fn encode_hashes(&self, out: &mut Vec<u8>) {
        let mut hashes = [0; EXPLICIT_MAX];
        let mut count = 0;
        self.each(|hash| {
            hashes[count] = hash;
            count += 1;
        });
        if count == 0 {
            return out.push(bytes::EMPTY);
        }
        hashes[..count].sort_unstable();
        out.reserve(2 + 8 * count);
        out.extend_from_slice(&[bytes::EXPLICIT, count as u8]);
        for hash in &hashes[..count] {
            out.extend_from_slice(&hash.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base64, hash::hash};

    fn union_of(count: u64) -> Sketch {
        let mut sketch = Sketch::new();
        for value in 0..count {
            sketch.update(hash(value.to_string().as_bytes()));
        }
        sketch
    }

    #[test]
    fn estimates_are_those_of_doris() {
        let golden = [
            (0, 0),
            (1, 1),
            (160, 160),
            (161, 162),
            (1_000, 1_001),
            (16_384, 16_274),
        ];
        let computed = [
            (40_000, 40_483),
            (60_000, 60_435),
            (72_000, 71_971),
            (200_000, 200_279),
        ];
        for (count, wanted) in golden.into_iter().chain(computed) {
            assert_eq!(union_of(count).estimate(), wanted, "of {count}");
        }
    }

    #[test]
    fn texts_are_those_of_doris() {
        let shown = |sketch: &Sketch| {
            let (mut bytes, mut text) = (Vec::new(), Vec::new());
            sketch.encode(&mut bytes);
            base64::encode(&bytes, &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(shown(&Sketch::new()), "AA==");
        let mut sketch = Sketch::new();
        sketch.update(hash(b"abc"));
        assert_eq!(shown(&sketch), "AQEC5XSzrpDsdw==");
    }

    #[test]
    fn a_state_fits_in_one_cache_line() {
        assert_eq!(size_of::<Sketch>(), 64);
        assert_eq!(align_of::<Sketch>(), 8);
    }

    #[test]
    fn bytes_come_back() {
        for count in [0, 1, 7, 8, 160, 161, 4_000, 5_000, 100_000] {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            union_of(count).encode(&mut first);
            Sketch::decode(&first).unwrap().encode(&mut second);
            assert_eq!(first, second);
        }
    }

    #[test]
    fn zero_is_a_hash_like_others() {
        let mut sketch = Sketch::new();
        (0..160).for_each(|value| sketch.update(value << 40));
        sketch.update(0);
        assert_eq!(sketch.estimate(), 160);
        assert!(matches!(sketch, Sketch::Many(_)));
        sketch.update(1);
        assert!(matches!(sketch, Sketch::Registers(_)));
    }
}
