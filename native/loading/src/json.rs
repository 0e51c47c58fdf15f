//! JSON documents cut into the texts of their values, as they come.
//!
//! Only the cut is made here: whether a value is JSON is judged by who reads it.

use arrow_array::ArrayRef;

use crate::Invalid;
use crate::texts::Texts;

/// Cuts a stream of JSON values, or the elements of one array, into one text each.
pub struct Cutter {
    is_array: bool,
    is_in_array: bool,
    is_closed: bool,
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    value: Vec<u8>,
    value_bytes_max: usize,
    out: Texts,
}

impl Cutter {
    /// `is_array` cuts the elements of arrays; else every value of the stream is one.
    pub fn new(is_array: bool, value_bytes_max: usize) -> Self {
        Cutter {
            is_array,
            is_in_array: false,
            is_closed: false,
            depth: 0,
            is_text: false,
            is_escaped: false,
            value: Vec::new(),
            value_bytes_max,
            out: Texts::default(),
        }
    }

    pub fn feed(&mut self, data: &[u8]) -> Result<ArrayRef, Invalid> {
        for byte in data {
            self.take(*byte)?;
        }
        self.out.take()
    }

    pub fn finish(&mut self) -> Result<ArrayRef, Invalid> {
        if self.is_in_array || self.depth > 0 || self.is_text {
            return Err(Invalid("the JSON document is not complete".into()));
        }
        self.end()?;
        self.out.take()
    }

    fn take(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.is_text {
            self.value.push(byte);
            if self.is_escaped {
                self.is_escaped = false;
            } else if byte == b'\\' {
                self.is_escaped = true;
            } else if byte == b'"' {
                self.is_text = false;
            }
            return self.bounded();
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {
                return if self.is_in_array { Ok(()) } else { self.end() };
            }
            b'[' if self.is_array && !self.is_in_array && self.value.is_empty() => {
                self.is_in_array = true;
                return Ok(());
            }
            b']' if self.is_in_array && self.depth == 0 => {
                self.is_in_array = false;
                self.is_closed = true;
                return self.end();
            }
            b',' if self.depth == 0 && (self.is_in_array || self.is_closed) => return self.end(),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or_else(|| Invalid("the JSON document closes what is not open".into()))?;
            }
            b'"' => self.is_text = true,
            _ => {}
        }
        self.value.push(byte);
        if self.depth == 0 && matches!(byte, b'}' | b']') && !self.is_in_array {
            return self.end();
        }
        self.bounded()
    }

    fn bounded(&self) -> Result<(), Invalid> {
        if self.value.len() > self.value_bytes_max {
            let most = self.value_bytes_max;
            return Err(Invalid(format!("a JSON value is longer than {most} bytes")));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Invalid> {
        if !self.value.is_empty() {
            if std::str::from_utf8(&self.value).is_err() {
                return Err(Invalid("the JSON document is not UTF-8".into()));
            }
            self.out.push(&self.value);
            self.value.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    fn cut(is_array: bool, data: &str) -> Result<Vec<String>, Invalid> {
        let mut cutter = Cutter::new(is_array, 1000);
        let mut found = Vec::new();
        for part in data.as_bytes().chunks(3) {
            let array = cutter.feed(part)?;
            let texts = array.as_string::<i32>();
            found.extend((0..texts.len()).map(|index| texts.value(index).to_string()));
        }
        let array = cutter.finish()?;
        let texts = array.as_string::<i32>();
        found.extend((0..texts.len()).map(|index| texts.value(index).to_string()));
        Ok(found)
    }

    #[test]
    fn cuts_values_and_elements() {
        let text = r#" [ {"a": "]}\""} , {"b":[1]},3 ] "#;
        let found = cut(true, text).unwrap();
        assert_eq!(found, [r#"{"a": "]}\""}"#, r#"{"b":[1]}"#, "3"]);
        assert_eq!(cut(false, "{\"a\":1}{\"b\":2}\n[1,2]").unwrap().len(), 3);
        assert!(cut(true, "[1,").is_err());
    }
}
