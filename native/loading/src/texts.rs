//! A column of text under construction.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};

use crate::Invalid;

/// Texts with NULLs; what is pushed must be UTF-8, which is checked once at the end.
pub struct Texts {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for Texts {
    fn default() -> Self {
        Texts {
            bytes: Vec::new(),
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }
}

impl Texts {
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    pub fn push_null(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
        self.nulls.append_null();
    }

    /// Bytes of the text that `end` will end.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub fn end(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
        self.nulls.append_non_null();
    }

    /// Return the column, and be empty again.
    ///
    /// The bytes of a column are fewer than the bytes fed, which the callers bound below 2^31.
    pub fn take(&mut self) -> Result<ArrayRef, Invalid> {
        let bytes = std::mem::take(&mut self.bytes);
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        self.bytes.reserve(bytes.len());
        self.offsets.reserve(offsets.len());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = self.nulls.finish();
        StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|error| Invalid(error.to_string()))
    }
}
