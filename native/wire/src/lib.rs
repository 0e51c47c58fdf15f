//! What wire protocols compute over bodies.

pub mod crc;
