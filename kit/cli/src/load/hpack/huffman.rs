//! The Huffman code of HPACK (RFC 7541, appendix B), read only.
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols, and shorter codes come
//! first. So the lengths say all of it.

use std::sync::LazyLock;

use super::Error;

/// The length in bits of the code of each byte, and last that of the end of a string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// The symbol that ends a string. Its code is all ones, and so is the padding after a string.
const END: u16 = 256;
const LONGEST: usize = 30;

struct Code {
    /// How many codes have this length.
    count: [u32; LONGEST + 1],
    /// All symbols, in the order of their codes.
    symbols: Vec<u16>,
}

static CODE: LazyLock<Code> = LazyLock::new(|| {
    let mut symbols: Vec<u16> = (0..=END).collect();
    let length = |symbol: u16| LENGTHS.get(usize::from(symbol)).copied().unwrap_or_default();
    symbols.sort_by_key(|&symbol| (length(symbol), symbol));
    let mut count = [0; LONGEST + 1];
    for length in LENGTHS {
        count[usize::from(length)] += 1;
    }
    Code { count, symbols }
});

/// Reads a string into `out`, which is emptied before.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    let code = &*CODE;
    // Of the code that is being read: its bits, their number, the first code of that length, and how many symbols have
    // shorter ones.
    let (mut bits, mut length, mut first, mut before) = (0u32, 0usize, 0u32, 0u32);
    let mut ones = true;
    for byte in bytes {
        for shift in (0..8).rev() {
            let bit = u32::from(byte >> shift & 1);
            ones &= bit == 1;
            first = (first + code.count[length]) << 1;
            before += code.count[length];
            bits = bits << 1 | bit;
            length += 1;
            let place = bits - first;
            if place < code.count[length] {
                match code.symbols.get((before + place) as usize) {
                    Some(&symbol) if symbol < END => out.push(symbol as u8),
                    _ => return Err(Error("the end of a string inside one")),
                }
                (bits, length, first, before, ones) = (0, 0, 0, 0, true);
            }
        }
    }
    // What is left is padding: less than a byte, and all ones.
    if length > 7 || !ones { Err(Error("a string with wrong padding")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LENGTHS, decode};

    /// RFC 7541, C.4 and C.6.
    #[test]
    fn the_examples_of_the_standard_are_read() {
        for (coded, text) in [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x64, 0x02], "302"),
            (
                &[
                    0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66,
                    0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
                ],
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (&[], ""),
        ] {
            let mut out = Vec::new();
            decode(coded, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn wrong_padding_and_an_end_inside_are_refused() {
        let mut out = Vec::new();
        assert!(decode(&[0x00, 0x00, 0x0e], &mut out).is_err(), "zeros");
        assert!(decode(&[0xff], &mut out).is_err(), "a whole byte of padding");
        assert!(decode(&[0xff, 0xff, 0xff, 0xff], &mut out).is_err(), "the end of a string");
    }

    /// The canonical codes, made apart from the reader.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut order: Vec<usize> = (0..LENGTHS.len()).collect();
        order.sort_by_key(|&symbol| (LENGTHS[symbol], symbol));
        let (mut codes, mut next, mut length) = (vec![0u32; LENGTHS.len()], 0u32, LENGTHS[order[0]]);
        for symbol in order {
            next <<= LENGTHS[symbol] - length;
            length = LENGTHS[symbol];
            codes[symbol] = next;
            next = next.wrapping_add(1);
        }
        let mut bits = Vec::new();
        for &byte in text {
            let symbol = usize::from(byte);
            bits.extend((0..LENGTHS[symbol]).rev().map(|shift| codes[symbol] >> shift & 1));
        }
        bits.resize(bits.len().div_ceil(8) * 8, 1);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | bit as u8)).collect()
    }

    proptest! {
        #[test]
        fn what_is_coded_reads_back(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut out = vec![1];
            prop_assert_eq!(decode(&encode(&text), &mut out), Ok(()));
            prop_assert_eq!(out, text);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, &mut Vec::new());
        }
    }
}
