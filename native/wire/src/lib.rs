//! What wire protocols compute over bodies and rows.

pub mod calendar;
pub mod crc;
pub mod floats;
pub mod rows;
