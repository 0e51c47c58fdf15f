//! What wire protocols compute over requests, bodies and rows.

pub mod calendar;
pub mod crc;
pub mod floats;
pub mod listing;
pub mod rows;
pub mod signing_keys;
pub mod sigv4;
pub mod uris;
