//! Threads of connections, and what they saw.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::connection::{Connection, Progress};
use crate::kernel::{CLOCK_PROCESS_CPUTIME_ID, TimeSpec, clock_gettime};
use crate::plan::{Plan, Step};
use crate::poll::Poll;

const BUFFER_BYTES: usize = 512 * 1024;
const SHOWN_MAX: usize = 3;
const WAIT_MS: i32 = 60_000;

pub struct Options {
    pub address: SocketAddr,
    pub connections: usize,
    pub threads: usize,
    pub warm_up_us: u64,
    /// How long to measure after the warm-up; None sends the plan to its end.
    pub measured_us: Option<u64>,
    pub interval_us: u64,
    /// Every how manieth request's answer is compared.
    pub check_every: usize,
    pub is_cycle: bool,
}

/// One answered request.
pub struct Sample {
    pub started_us: u64,
    pub latency_us: u64,
    pub body_bytes: u64,
}

#[derive(Default)]
pub struct Totals {
    pub samples: Vec<Sample>,
    pub statuses: BTreeMap<u16, u64>,
    pub refused: u64,
    pub shown: Vec<String>,
    pub compared: u64,
    pub different: u64,
    pub reconnected: u64,
    pub issued: usize,
    pub elapsed_us: u64,
    pub processor_us: u64,
    pub is_exhausted: bool,
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.samples.extend(other.samples);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.refused += other.refused;
        self.shown.extend(other.shown);
        self.compared += other.compared;
        self.different += other.different;
        self.reconnected += other.reconnected;
    }
}

/// What all threads share: the clock and the number of the next request.
struct Source<'p, 'a> {
    plan: &'p Plan<'a>,
    options: &'p Options,
    next: AtomicUsize,
    begun: Instant,
}

impl<'p, 'a> Source<'p, 'a> {
    fn now_us(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }

    /// Return the next request and whether its answer is compared; None when it is time to end.
    fn take(&self) -> Option<(&'p Step<'a>, bool)> {
        let options = self.options;
        let is_late = options
            .measured_us
            .is_some_and(|us| self.now_us() >= options.warm_up_us + us);
        if is_late {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let steps = &self.plan.steps;
        if number >= steps.len() && !options.is_cycle {
            return None;
        }
        let step = &steps[number % steps.len()];
        let is_checked = step.expected.is_some() && number.is_multiple_of(options.check_every);
        Some((step, is_checked))
    }
}

/// Run the whole load; raise what makes it meaningless, as a connection that breaks.
pub fn run(plan: &Plan<'_>, options: &Options) -> Result<Totals, String> {
    let next = AtomicUsize::new(0);
    let source = Source {
        plan,
        options,
        next,
        begun: Instant::now(),
    };
    let threads = options.threads.clamp(1, options.connections.max(1));
    let mut totals = Totals::default();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let count = (options.connections + threads - 1 - number) / threads;
                let source = &source;
                scope.spawn(move || drive(source, count))
            })
            .collect();
        for thread in running {
            totals.add(thread.join().map_err(|_| "a thread ended early")??);
        }
        Ok::<(), String>(())
    })?;
    totals.elapsed_us = source.now_us();
    totals.processor_us = processor_us();
    let taken = source.next.into_inner();
    totals.issued = if options.is_cycle {
        taken
    } else {
        taken.min(plan.steps.len())
    };
    totals.is_exhausted = !options.is_cycle && taken > plan.steps.len();
    Ok(totals)
}

/// Drive `count` connections until the source ends and all are answered.
fn drive(source: &Source<'_, '_>, count: usize) -> Result<Totals, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut poll = Poll::new(count).map_err(text)?;
    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        let connection = Connection::open(source.options.address).map_err(text)?;
        poll.add(&connection.stream, number).map_err(text)?;
        connections.push((connection, false));
    }
    let mut totals = Totals::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut busy = 0;
    for (number, (connection, is_checked)) in connections.iter_mut().enumerate() {
        let Some((step, checked)) = source.take() else {
            break;
        };
        *is_checked = checked;
        busy += 1;
        let progress = connection.send(step, checked, source.now_us())?;
        if progress == Progress::Blocked {
            poll.change(&connection.stream, number, true)
                .map_err(text)?;
        }
    }
    while busy > 0 {
        let ready = poll.wait(WAIT_MS).map_err(text)?;
        if ready.is_empty() {
            return Err("no answer for a minute".into());
        }
        for one in ready {
            let (connection, is_checked) = &mut connections[one.number];
            if one.is_writable && connection.write()? == Progress::Waiting {
                poll.change(&connection.stream, one.number, false)
                    .map_err(text)?;
            }
            if connection.read(&mut buffer)? != Progress::Answered {
                continue;
            }
            note(&mut totals, connection, *is_checked, source.now_us());
            if connection.is_spent() {
                connection.reopen().map_err(text)?;
                poll.add(&connection.stream, one.number).map_err(text)?;
                totals.reconnected += 1;
            }
            let Some((step, checked)) = source.take() else {
                busy -= 1;
                continue;
            };
            *is_checked = checked;
            if connection.send(step, checked, source.now_us())? == Progress::Blocked {
                poll.change(&connection.stream, one.number, true)
                    .map_err(text)?;
            }
        }
    }
    Ok(totals)
}

fn note(totals: &mut Totals, connection: &Connection<'_>, is_checked: bool, now_us: u64) {
    let answer = &connection.answer;
    *totals.statuses.entry(answer.status).or_default() += 1;
    totals.compared += u64::from(is_checked);
    totals.different += u64::from(answer.is_different);
    if !answer.is_success() {
        totals.refused += 1;
        if totals.shown.len() < SHOWN_MAX {
            let text = String::from_utf8_lossy(&answer.kept);
            totals.shown.push(format!("{} {text}", answer.status));
        }
    }
    totals.samples.push(Sample {
        started_us: connection.started_us,
        latency_us: now_us - connection.started_us,
        body_bytes: answer.body_bytes,
    });
}

/// Return the processor time that this process has used.
fn processor_us() -> u64 {
    let mut spec = TimeSpec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the kernel fills the structure, which outlives the call.
    unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut spec) };
    spec.seconds as u64 * 1_000_000 + spec.nanoseconds as u64 / 1_000
}
