//! The numbers of a bitmap that share all but their low 16 bits.

/// The most numbers that are kept as an array: above, 8 KiB of bits are smaller.
pub const ARRAY_MAX: usize = 4096;
const WORDS: usize = 1024;

pub type Words = [u64; WORDS];
/// The first number of a run and how many follow it.
pub type Run = [u16; 2];

/// What a set operation keeps: of numbers in the left side alone, in both, in the right alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    pub fn keeps_left(self) -> bool {
        self != Operation::And
    }

    pub fn keeps_both(self) -> bool {
        matches!(self, Operation::And | Operation::Or)
    }

    pub fn keeps_right(self) -> bool {
        matches!(self, Operation::Or | Operation::Xor)
    }
}

/// Numbers of 16 bits, never none: ascending, as bits, or as runs that neither meet nor touch.
#[derive(Clone, Debug)]
pub enum Container {
    Array(Vec<u16>),
    Bits(Box<Words>),
    Runs(Vec<Run>),
}

/// How a container is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Array,
    Bits,
    Runs(usize),
}

/// The form that takes the fewest bytes; runs only if they are really smaller, as CRoaring has it.
fn smallest(count: usize, runs: usize) -> Form {
    let other = if count <= ARRAY_MAX {
        2 + 2 * count
    } else {
        8 * WORDS
    };
    if 2 + 4 * runs < other {
        Form::Runs(runs)
    } else if count <= ARRAY_MAX {
        Form::Array
    } else {
        Form::Bits
    }
}

fn count_bits(words: &Words) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

fn count_runs(words: &Words) -> usize {
    let mut before = 0;
    let mut runs = 0;
    for &word in words {
        runs += (word & !(word << 1 | before)).count_ones() as usize;
        before = word >> 63;
    }
    runs
}

fn zeros() -> Box<Words> {
    match vec![0; WORDS].into_boxed_slice().try_into() {
        Ok(words) => words,
        Err(_) => unreachable!("a slice of that length is that array"),
    }
}

fn set_run(words: &mut Words, [first, more]: Run) {
    let (first, last) = (usize::from(first), usize::from(first) + usize::from(more));
    for (place, word) in words
        .iter_mut()
        .enumerate()
        .take(last / 64 + 1)
        .skip(first / 64)
    {
        let low = if place == first / 64 { first % 64 } else { 0 };
        let high = if place == last / 64 { last % 64 } else { 63 };
        *word |= u64::MAX >> (63 - high) & u64::MAX << low;
    }
}

fn each_bit(words: &Words, mut visit: impl FnMut(u16)) {
    for (place, &word) in words.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            visit((place * 64) as u16 + rest.trailing_zeros() as u16);
            rest &= rest - 1;
        }
    }
}

/// Return ascending numbers as runs.
fn runs_of(each: impl FnOnce(&mut dyn FnMut(u16))) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    each(&mut |number| match runs.last_mut() {
        Some([first, more]) if *first + *more + 1 == number => *more += 1,
        _ => runs.push([number, 0]),
    });
    runs
}

fn merge(operation: Operation, left: &[u16], right: &[u16]) -> Vec<u16> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut one, mut two) = (0, 0);
    while let (Some(&low), Some(&high)) = (left.get(one), right.get(two)) {
        let is_kept = match low.cmp(&high) {
            std::cmp::Ordering::Less => operation.keeps_left(),
            std::cmp::Ordering::Equal => operation.keeps_both(),
            std::cmp::Ordering::Greater => operation.keeps_right(),
        };
        if is_kept {
            out.push(low.min(high));
        }
        one += usize::from(low <= high);
        two += usize::from(high <= low);
    }
    if operation.keeps_left() {
        out.extend_from_slice(&left[one..]);
    }
    if operation.keeps_right() {
        out.extend_from_slice(&right[two..]);
    }
    out
}

impl Container {
    pub fn single(number: u16) -> Self {
        Container::Array(vec![number])
    }

    /// Return the smallest form of what the bits say, `None` for nothing.
    pub fn of_words(words: Box<Words>) -> Option<Self> {
        let count = count_bits(&words);
        if count == 0 {
            return None;
        }
        Some(match smallest(count, count_runs(&words)) {
            Form::Bits => Container::Bits(words),
            Form::Array => {
                let mut numbers = Vec::with_capacity(count);
                each_bit(&words, |number| numbers.push(number));
                Container::Array(numbers)
            }
            Form::Runs(_) => Container::Runs(runs_of(|push| each_bit(&words, push))),
        })
    }

    /// The bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Container::Array(numbers) => 2 * numbers.capacity(),
            Container::Bits(_) => 8 * WORDS,
            Container::Runs(runs) => 4 * runs.capacity(),
        }
    }

    /// How many numbers there are: 1 to 65,536.
    pub fn len(&self) -> usize {
        match self {
            Container::Array(numbers) => numbers.len(),
            Container::Bits(words) => count_bits(words),
            Container::Runs(runs) => runs.iter().map(|run| usize::from(run[1]) + 1).sum(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn contains(&self, number: u16) -> bool {
        match self {
            Container::Array(numbers) => numbers.binary_search(&number).is_ok(),
            Container::Bits(words) => words[usize::from(number) / 64] >> (number % 64) & 1 == 1,
            Container::Runs(runs) => {
                let after = runs.partition_point(|run| run[0] <= number);
                after > 0 && number - runs[after - 1][0] <= runs[after - 1][1]
            }
        }
    }

    /// Call `visit` with each number, ascending.
    pub fn each(&self, mut visit: impl FnMut(u16)) {
        match self {
            Container::Array(numbers) => numbers.iter().for_each(|&number| visit(number)),
            Container::Bits(words) => each_bit(words, visit),
            Container::Runs(runs) => {
                for &[first, more] in runs {
                    (0..=more).for_each(|step| visit(first + step));
                }
            }
        }
    }

    pub fn min(&self) -> u16 {
        match self {
            Container::Array(numbers) => numbers[0],
            Container::Runs(runs) => runs[0][0],
            Container::Bits(words) => {
                let place = words.iter().position(|&word| word != 0).unwrap_or(0);
                (place * 64) as u16 + words[place].trailing_zeros() as u16
            }
        }
    }

    pub fn max(&self) -> u16 {
        match self {
            Container::Array(numbers) => numbers[numbers.len() - 1],
            Container::Runs(runs) => runs[runs.len() - 1][0] + runs[runs.len() - 1][1],
            Container::Bits(words) => {
                let place = words.iter().rposition(|&word| word != 0).unwrap_or(0);
                (place * 64 + 63) as u16 - words[place].leading_zeros() as u16
            }
        }
    }

    fn add_to_words(&self, words: &mut Words) {
        match self {
            Container::Array(numbers) => {
                for &number in numbers {
                    words[usize::from(number) / 64] |= 1 << (number % 64);
                }
            }
            Container::Bits(theirs) => {
                for (word, &other) in words.iter_mut().zip(theirs.iter()) {
                    *word |= other;
                }
            }
            Container::Runs(runs) => runs.iter().for_each(|&run| set_run(words, run)),
        }
    }

    fn to_words(&self) -> Box<Words> {
        let mut words = zeros();
        self.add_to_words(&mut words);
        words
    }

    pub fn add(&mut self, number: u16) {
        match self {
            Container::Bits(words) => words[usize::from(number) / 64] |= 1 << (number % 64),
            Container::Array(numbers) => {
                let Err(place) = numbers.binary_search(&number) else {
                    return;
                };
                if numbers.len() < ARRAY_MAX {
                    return numbers.insert(place, number);
                }
            }
            Container::Runs(_) if self.contains(number) => return,
            Container::Runs(_) => {}
        }
        if !matches!(self, Container::Bits(_)) {
            let mut words = self.to_words();
            words[usize::from(number) / 64] |= 1 << (number % 64);
            *self = Container::Bits(words);
        }
    }

    /// Add all of another.
    pub fn unite(&mut self, other: &Container) {
        match (&mut *self, other) {
            (Container::Bits(words), _) => other.add_to_words(words),
            (Container::Array(_), Container::Array(theirs)) if theirs.len() <= 4 => {
                theirs.iter().for_each(|&number| self.add(number));
            }
            _ => {
                if let Some(united) = Container::operate(Operation::Or, self, other) {
                    *self = united;
                }
            }
        }
    }

    /// Return what an operation leaves of two sets, `None` for nothing.
    pub fn operate(operation: Operation, left: &Container, right: &Container) -> Option<Self> {
        if let (Container::Array(one), Container::Array(two)) = (left, right) {
            let numbers = merge(operation, one, two);
            if numbers.len() <= ARRAY_MAX {
                return (!numbers.is_empty()).then_some(Container::Array(numbers));
            }
        }
        let (mut words, other) = (left.to_words(), right.to_words());
        for (word, &other) in words.iter_mut().zip(other.iter()) {
            *word = match operation {
                Operation::And => *word & other,
                Operation::Or => *word | other,
                Operation::Xor => *word ^ other,
                Operation::Not => *word & !other,
            };
        }
        Container::of_words(words)
    }

    /// The number of numbers, and the form in which they are stored.
    pub fn form(&self) -> (usize, Form) {
        let count = self.len();
        let runs = match self {
            Container::Runs(runs) => runs.len(),
            Container::Bits(words) => count_runs(words),
            Container::Array(numbers) => {
                let steps = numbers.windows(2).filter(|pair| pair[0] + 1 != pair[1]);
                1 + steps.count()
            }
        };
        (count, smallest(count, runs))
    }

    /// Append the stored form.
    pub fn encode(&self, form: Form, out: &mut Vec<u8>) {
        match form {
            Form::Array => self.each(|number| out.extend_from_slice(&number.to_le_bytes())),
            Form::Bits => {
                for word in self.to_words().iter() {
                    out.extend_from_slice(&word.to_le_bytes());
                }
            }
            Form::Runs(count) => {
                out.extend_from_slice(&(count as u16).to_le_bytes());
                for [first, more] in runs_of(|push| self.each(push)) {
                    out.extend_from_slice(&first.to_le_bytes());
                    out.extend_from_slice(&more.to_le_bytes());
                }
            }
        }
    }
}
