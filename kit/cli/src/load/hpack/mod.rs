//! HPACK (RFC 7541) for a client that sends the same headers again and again, and wants to know of the answers only
//! `:status`, `grpc-status` and `grpc-message`.
//!
//! Names and values of all other fields are read past; of those in the dynamic table the sizes are kept.

mod huffman;
mod request;
mod table;

use std::{fmt, rc::Rc};

pub(super) use request::{NO_TABLE, Request};
use table::{Field, Name, Table, Value};

/// The size of the dynamic table of an endpoint that has not said otherwise.
pub(super) const TABLE_SIZE: usize = 4096;

/// Why a block of headers cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Error(&'static str);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "headers that cannot be read: {}", self.0)
    }
}

/// What a block of headers says, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) status: Option<u32>,
    pub(super) grpc_status: Option<u32>,
    /// As it was sent: percent-encoded.
    pub(super) grpc_message: Option<Rc<str>>,
}

impl Fields {
    fn take(&mut self, name: Name, value: Value) -> Result<(), Error> {
        match (name, value) {
            (Name::Status, Value::Number(status)) => self.status = Some(status),
            (Name::GrpcStatus, Value::Number(status)) => self.grpc_status = Some(status),
            (Name::GrpcMessage, Value::Text(text)) => self.grpc_message = Some(text),
            (Name::Status | Name::GrpcStatus, _) => return Err(Error("a status that is no number")),
            (Name::GrpcMessage | Name::Other, _) => {}
        }
        Ok(())
    }
}

/// Reads the blocks of headers of one connection, in their order.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { table: Table::new(TABLE_SIZE), name: Vec::new(), value: Vec::new() }
    }

    pub(super) fn decode(&mut self, mut block: &[u8], fields: &mut Fields) -> Result<(), Error> {
        while let Some(&first) = block.first() {
            match first {
                0x80.. => {
                    let index = integer(&mut block, 7)?;
                    let (name, value) = self.table.value(index).ok_or(Error("an index beyond the table"))?;
                    fields.take(name, value)?;
                }
                0x40.. => {
                    let field = self.literal(&mut block, 6)?;
                    fields.take(field.name, field.value.clone())?;
                    self.table.add(field);
                }
                0x20.. => {
                    let size = integer(&mut block, 5)?;
                    if size > TABLE_SIZE {
                        return Err(Error("a table larger than agreed"));
                    }
                    self.table.resize(size);
                }
                _ => {
                    let field = self.literal(&mut block, 4)?;
                    fields.take(field.name, field.value)?;
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<Field, Error> {
        let (name, name_len) = match integer(block, prefix)? {
            0 => {
                string(block, &mut self.name)?;
                (Name::of(&self.name), self.name.len())
            }
            index => self.table.name(index).ok_or(Error("an index beyond the table"))?,
        };
        string(block, &mut self.value)?;
        let value = match name {
            Name::Status | Name::GrpcStatus => number(&self.value).map_or(Value::Nothing, Value::Number),
            Name::GrpcMessage => Value::Text(String::from_utf8_lossy(&self.value).into()),
            Name::Other => Value::Nothing,
        };
        Ok(Field { name, name_len, value, value_len: self.value.len() })
    }
}

fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

/// An integer whose first bits share a byte with something else (RFC 7541, 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Error> {
    const SHORT: Error = Error("a number that is cut off");
    let (&first, mut rest) = block.split_first().ok_or(SHORT)?;
    let mask = (1usize << prefix) - 1;
    let mut number = usize::from(first) & mask;
    if number == mask {
        let mut shift = 0;
        loop {
            let (&byte, more) = rest.split_first().ok_or(SHORT)?;
            rest = more;
            number += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            // Enough for whatever fits into a block.
            if shift > 21 {
                return Err(Error("a number that is too large"));
            }
        }
    }
    *block = rest;
    Ok(number)
}

/// A string (RFC 7541, 5.2), into `out`.
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Error("a string that is cut off"))?;
    *block = rest;
    if coded {
        return huffman::decode(text, out);
    }
    out.clear();
    out.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests;
