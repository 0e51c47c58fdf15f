//! What is printed: one JSON object.
//!
//! `latencies` are pairs of microseconds and how often, in order; they and `intervals` (answers in
//! each full interval after the warm-up) leave out what began before the warm-up was over.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::run::{Options, Totals};

pub fn json(totals: &Totals, options: &Options) -> String {
    let mut latencies: BTreeMap<u64, u64> = BTreeMap::new();
    let ended_us = totals
        .samples
        .iter()
        .map(|one| one.started_us + one.latency_us)
        .max();
    // Connections fall idle once the plan or the time ends: what is after that is no closed loop.
    let last_us = totals.samples.iter().map(|one| one.started_us).max();
    let loaded_us = last_us.unwrap_or(0).saturating_sub(options.warm_up_us);
    let mut intervals = vec![0u64; (loaded_us / options.interval_us) as usize];
    let (mut measured, mut bytes) = (0u64, 0u64);
    for sample in &totals.samples {
        let ended = sample.started_us + sample.latency_us;
        if let Some(since) = ended.checked_sub(options.warm_up_us)
            && let Some(count) = intervals.get_mut((since / options.interval_us) as usize)
        {
            *count += 1;
        }
        if sample.started_us >= options.warm_up_us {
            *latencies.entry(sample.latency_us).or_default() += 1;
            measured += 1;
            bytes += sample.body_bytes;
        }
    }
    let window_us = ended_us.unwrap_or(0).saturating_sub(options.warm_up_us);
    let statuses: Vec<_> = totals
        .statuses
        .iter()
        .map(|(k, v)| format!("\"{k}\":{v}"))
        .collect();
    let shown: Vec<_> = totals.shown.iter().map(|text| quoted(text)).collect();
    let pairs: Vec<_> = latencies
        .iter()
        .map(|(k, v)| format!("[{k},{v}]"))
        .collect();
    let counts: Vec<_> = intervals.iter().map(u64::to_string).collect();
    let fields = [
        ("answered", totals.samples.len().to_string()),
        ("issued", totals.issued.to_string()),
        ("measured", measured.to_string()),
        ("measured_us", window_us.to_string()),
        ("elapsed_us", totals.elapsed_us.to_string()),
        ("processor_us", totals.processor_us.to_string()),
        ("body_bytes", bytes.to_string()),
        ("refused", totals.refused.to_string()),
        ("compared", totals.compared.to_string()),
        ("different", totals.different.to_string()),
        ("reconnected", totals.reconnected.to_string()),
        ("is_exhausted", totals.is_exhausted.to_string()),
        ("statuses", format!("{{{}}}", statuses.join(","))),
        ("shown", format!("[{}]", shown.join(","))),
        ("interval_us", options.interval_us.to_string()),
        ("intervals", format!("[{}]", counts.join(","))),
        ("latencies", format!("[{}]", pairs.join(","))),
    ];
    let texts: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", texts.join(","))
}

fn quoted(text: &str) -> String {
    let mut found = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => found.extend(['\\', letter]),
            letter if u32::from(letter) < 32 => {
                let _ = write!(found, "\\u{:04x}", u32::from(letter));
            }
            letter => found.push(letter),
        }
    }
    found.push('"');
    found
}
