//! Thrift's compact protocol, as far as Parquet's footers and page headers need it.

use crate::{Invalid, Result};

const DEPTH_MAX: usize = 16;

/// Writes one struct's fields, in ascending order of their numbers.
pub struct Struct<'a> {
    out: &'a mut Vec<u8>,
    last: i16,
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl<'a> Struct<'a> {
    /// Writes a struct that `fill` gives its fields.
    pub fn write(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Struct<'_>)) {
        let mut fields = Struct { out, last: 0 };
        fill(&mut fields);
        fields.out.push(0);
    }

    fn field(&mut self, number: i16, kind: u8) {
        let step = number - self.last;
        debug_assert!((1..16).contains(&step));
        self.out.push((step as u8) << 4 | kind);
        self.last = number;
    }

    pub fn flag(&mut self, number: i16, value: bool) {
        self.field(number, if value { 1 } else { 2 });
    }

    pub fn i32(&mut self, number: i16, value: i64) {
        self.field(number, 5);
        varint(self.out, zigzag(value));
    }

    pub fn i64(&mut self, number: i16, value: i64) {
        self.field(number, 6);
        varint(self.out, zigzag(value));
    }

    pub fn text(&mut self, number: i16, value: &[u8]) {
        self.field(number, 8);
        varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    pub fn nested(&mut self, number: i16, fill: impl FnOnce(&mut Struct<'_>)) {
        self.field(number, 12);
        Struct::write(self.out, fill);
    }

    fn list(&mut self, number: i16, kind: u8, count: usize) {
        self.field(number, 9);
        if count < 15 {
            self.out.push((count as u8) << 4 | kind);
        } else {
            self.out.push(0xf0 | kind);
            varint(self.out, count as u64);
        }
    }

    pub fn i32s(&mut self, number: i16, values: &[i64]) {
        self.list(number, 5, values.len());
        for value in values {
            varint(self.out, zigzag(*value));
        }
    }

    pub fn texts(&mut self, number: i16, values: &[&[u8]]) {
        self.list(number, 8, values.len());
        for value in values {
            varint(self.out, value.len() as u64);
            self.out.extend_from_slice(value);
        }
    }

    pub fn structs<T>(
        &mut self,
        number: i16,
        items: &[T],
        mut fill: impl FnMut(&T, &mut Struct<'_>),
    ) {
        self.list(number, 12, items.len());
        for item in items {
            Struct::write(self.out, |fields| fill(item, fields));
        }
    }
}

/// A value as read; numbers of all widths are `Int`.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    List(Vec<Value<'a>>),
    Struct(Vec<(i16, Value<'a>)>),
    Other,
}

impl<'a> Value<'a> {
    /// Field of a struct, if it is there.
    pub fn find(&self, number: i16) -> Option<&Value<'a>> {
        match self {
            Value::Struct(fields) => fields
                .iter()
                .find(|(found, _)| *found == number)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn int(&self, number: i16) -> Result<i64> {
        match self.find(number) {
            Some(Value::Int(value)) => Ok(*value),
            _ => Err(damaged()),
        }
    }

    /// A number that counts or measures something.
    pub fn size(&self, number: i16) -> Result<usize> {
        usize::try_from(self.int(number)?).map_err(|_| damaged())
    }

    pub fn bytes(&self, number: i16) -> Result<&'a [u8]> {
        match self.find(number) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => Err(damaged()),
        }
    }

    pub fn list(&self, number: i16) -> Result<&[Value<'a>]> {
        match self.find(number) {
            Some(Value::List(items)) => Ok(items),
            _ => Err(damaged()),
        }
    }
}

pub fn damaged() -> Invalid {
    Invalid::new("the file is damaged")
}

/// Reads a struct and returns it with the bytes it took.
pub fn read_struct(data: &[u8]) -> Result<(Value<'_>, usize)> {
    let mut reader = Reader { data, at: 0 };
    let value = reader.fields(0)?;
    Ok((value, reader.at))
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8> {
        let byte = *self.data.get(self.at).ok_or_else(damaged)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    fn number(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(damaged)?;
        let bytes = self.data.get(self.at..end).ok_or_else(damaged)?;
        self.at = end;
        Ok(bytes)
    }

    fn fields(&mut self, depth: usize) -> Result<Value<'a>> {
        if depth > DEPTH_MAX {
            return Err(damaged());
        }
        let mut fields = Vec::new();
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(Value::Struct(fields));
            }
            last = match head >> 4 {
                0 => i16::try_from(self.number()?).map_err(|_| damaged())?,
                step => last.checked_add(i16::from(step)).ok_or_else(damaged)?,
            };
            let value = match head & 15 {
                // Flags are in the head itself; nothing here asks for them.
                1 | 2 => Value::Other,
                kind => self.value(kind, depth)?,
            };
            fields.push((last, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value<'a>> {
        Ok(match kind {
            1..=3 => {
                self.byte()?;
                Value::Other
            }
            4..=6 => Value::Int(self.number()?),
            7 => {
                self.take(8)?;
                Value::Other
            }
            8 => {
                let count = usize::try_from(self.varint()?).map_err(|_| damaged())?;
                Value::Bytes(self.take(count)?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                // Every item takes a byte at least.
                if count > (self.data.len() - self.at) as u64 {
                    return Err(damaged());
                }
                let items = (0..count).map(|_| self.value(head & 15, depth + 1));
                Value::List(items.collect::<Result<_>>()?)
            }
            12 => self.fields(depth + 1)?,
            _ => return Err(damaged()),
        })
    }
}
