//! Closed-loop load: each connection sends its next request when the last one is answered.
//!
//! Requests come ready-made from a plan (see `plan.rs`), so that nothing is signed or rendered
//! while it is measured. Every answer's status is looked at; bodies are compared byte by byte where
//! the plan says what they are. Prints one JSON object.

mod answer;
mod connection;
mod kernel;
mod plan;
mod poll;
mod report;
mod run;

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;

use plan::Plan;
use run::Options;

const USAGE: &str = "generator --address IP:PORT --plan FILE --pool FILE [--connections N] \
[--threads N] [--warm-up-ms N] [--measured-ms N] [--interval-ms N] [--check-every N] [--cycle]
without --measured-ms the plan is sent once; --cycle begins again where it ends";

fn main() -> ExitCode {
    match work() {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("generator: {problem}");
            ExitCode::from(2)
        }
    }
}

fn work() -> Result<String, String> {
    let mut given = Given::new(env::args().skip(1))?;
    let address: SocketAddr = given.need("--address")?;
    let plan_path: String = given.need("--plan")?;
    let pool_path: String = given.need("--pool")?;
    let options = Options {
        address,
        connections: given.or("--connections", 1)?,
        threads: given.or("--threads", 1)?,
        warm_up_us: given.or("--warm-up-ms", 0u64)? * 1_000,
        measured_us: given.find("--measured-ms")?.map(|ms: u64| ms * 1_000),
        interval_us: given.or("--interval-ms", 200u64)? * 1_000,
        check_every: given.or("--check-every", 1)?,
        is_cycle: given.is_cycle,
    };
    given.finish()?;
    let plan = fs::read(&plan_path).map_err(|error| format!("{plan_path}: {error}"))?;
    let pool = fs::read(&pool_path).map_err(|error| format!("{pool_path}: {error}"))?;
    let plan = Plan::parse(&plan, &pool)?;
    let totals = run::run(&plan, &options).map_err(|error| error.to_string())?;
    Ok(report::json(&totals, &options))
}

/// The command line: pairs of a name and a value, and one switch.
struct Given {
    pairs: Vec<(String, String)>,
    is_cycle: bool,
}

impl Given {
    fn new(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut found = Self {
            pairs: Vec::new(),
            is_cycle: false,
        };
        let mut words = words;
        while let Some(name) = words.next() {
            if name == "--cycle" {
                found.is_cycle = true;
                continue;
            }
            let value = words.next().ok_or(USAGE)?;
            found.pairs.push((name, value));
        }
        Ok(found)
    }

    fn find<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(at) = self.pairs.iter().position(|pair| pair.0 == name) else {
            return Ok(None);
        };
        let (_, text) = self.pairs.remove(at);
        text.parse()
            .map(Some)
            .map_err(|_| format!("{name}: not understood: {text}"))
    }

    fn or<T: FromStr>(&mut self, name: &str, otherwise: T) -> Result<T, String> {
        Ok(self.find(name)?.unwrap_or(otherwise))
    }

    fn need<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        self.find(name)?
            .ok_or_else(|| format!("{name} is missing\n{USAGE}"))
    }

    fn finish(self) -> Result<(), String> {
        match self.pairs.first() {
            Some((name, _)) => Err(format!("unknown option {name}\n{USAGE}")),
            None => Ok(()),
        }
    }
}
