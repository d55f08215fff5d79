//! Identifiers: made, read from text, and written without the formatting machinery.

use std::fmt;

use zipkin::{SpanId, TraceId};

/// 128 random bits. Unique, not secret.
pub(super) fn new_trace_id() -> TraceId {
    // All zeros means "none" in every format.
    TraceId::from(fastrand::u128(..).max(1).to_be_bytes())
}

/// 64 random bits.
pub(super) fn new_span_id() -> SpanId {
    SpanId::from(fastrand::u64(..).max(1).to_be_bytes())
}

/// The part of a trace id that all formats keep: its last 64 bits.
pub(super) fn low_bits(id: TraceId) -> u64 {
    id.bytes().iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

/// A trace id of 16 or 32 digits. An id of 64 bits stays one, so that its trace is found under the name it came with.
pub(super) fn trace_id(text: &[u8]) -> Option<TraceId> {
    match text.len() {
        16 => hex::<8>(text).map(TraceId::from),
        32 => hex::<16>(text).map(TraceId::from),
        _ => None,
    }
}

/// A span id of 16 digits.
pub(super) fn span_id(text: &[u8]) -> Option<SpanId> {
    hex::<8>(text).map(SpanId::from)
}

/// Exactly `N` bytes in hexadecimal that are not all zero.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    bytes.iter().any(|byte| *byte != 0).then_some(bytes)
}

/// The value of a hexadecimal digit.
pub(super) fn digit(text: u8) -> Option<u8> {
    match text {
        b'0'..=b'9' => Some(text - b'0'),
        b'a'..=b'f' => Some(text - b'a' + 10),
        b'A'..=b'F' => Some(text - b'A' + 10),
        _ => None,
    }
}

/// An identifier as lower-case hexadecimal text, on the stack: every log line has two of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex {
    text: [u8; 32],
    length: usize,
}

impl Hex {
    fn new(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            for (place, value) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *place = DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            }
        }
        Self { text, length: (2 * bytes.len()).min(32) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl From<TraceId> for Hex {
    fn from(id: TraceId) -> Self {
        Self::new(id.bytes())
    }
}

impl From<SpanId> for Hex {
    fn from(id: SpanId) -> Self {
        Self::new(id.bytes())
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_sent() {
        for text in ["463ac35c9f6413ad", "463ac35c9f6413ad48485a3953bb6124", "00000000000000000000000000000001"] {
            let id = trace_id(text.as_bytes()).unwrap();
            assert_eq!(Hex::from(id).as_str(), text);
            assert_eq!(id.to_string(), text);
        }
        for wrong in ["", "0", "0000000000000000", "463ac35c9f6413a", "463ac35c9f6413ag", "463ac35c9f6413ad4"] {
            assert!(trace_id(wrong.as_bytes()).is_none(), "{wrong}");
            assert!(span_id(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert_eq!(low_bits(trace_id(b"463ac35c9f6413ad48485a3953bb6124").unwrap()), 0x4848_5a39_53bb_6124);
        assert_eq!((new_trace_id().bytes().len(), Hex::from(new_span_id()).as_str().len()), (16, 16));
    }
}
