//! How an answer looks in a store, and what stands there while nobody may save an old one.
//!
//! A store is shared and may hold anything: another program's value, another version's, half of one. So an entry says what it
//! is, and a checksum over the type, the key and the bytes decides whether it is believed.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::Message;

/// The first two bytes: that it is an entry of ours, in this form; and which kind it is.
const VALUE: [u8; 2] = [0xCA, 0x11];
const TOMBSTONE: [u8; 2] = [0xCA, 0x10];

/// The two bytes above and the checksum.
const HEAD: usize = 6;

/// What an entry turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Found<M> {
    Value(M),
    /// The answer changed; whoever loads it now may put it in the place of just this tombstone.
    Tombstone,
    Corrupt,
}

pub(super) fn value<M: Message>(key: &str, message: &M) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + message.encoded_len());
    bytes.put_slice(&VALUE);
    bytes.put_u32(0);
    message.encode_raw(&mut bytes);
    let sum = checksum::<M>(key, bytes.get(HEAD..).unwrap_or_default());
    if let Some(place) = bytes.get_mut(VALUE.len()..HEAD) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    bytes.freeze()
}

/// No two are the same, so that a load knows whether the one it saw is still there.
pub(super) fn tombstone() -> Bytes {
    let mut bytes = BytesMut::with_capacity(TOMBSTONE.len() + 16);
    bytes.put_slice(&TOMBSTONE);
    bytes.put_u128(fastrand::u128(..));
    bytes.freeze()
}

pub(super) fn read<M: Message>(key: &str, entry: &[u8]) -> Found<M> {
    if entry.len() == TOMBSTONE.len() + 16 && entry.starts_with(&TOMBSTONE) {
        return Found::Tombstone;
    }
    let sum = entry.strip_prefix(&VALUE).and_then(|rest| rest.split_first_chunk::<4>());
    let Some((sum, message)) = sum else { return Found::Corrupt };
    if u32::from_be_bytes(*sum) != checksum::<M>(key, message) {
        return Found::Corrupt;
    }
    M::decode(message).map_or(Found::Corrupt, Found::Value)
}

fn checksum<M: Message>(key: &str, message: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [M::NAME.as_bytes(), b"\0", key.as_bytes(), b"\0", message] {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_saved_is_read_and_nothing_else() {
        let entry = value("a", &"text".to_owned());
        assert_eq!(read("a", &entry), Found::Value("text".to_owned()));
        assert_eq!(read::<String>("b", &entry), Found::Corrupt, "of another key");
        assert_eq!(read::<Vec<u8>>("a", &entry), Found::Corrupt, "of another type");
        assert_eq!(read::<String>("a", &tombstone()), Found::Tombstone);
        assert_eq!(read::<String>("a", b""), Found::Corrupt);
        for length in 0..entry.len() {
            assert_eq!(read::<String>("a", &entry[..length]), Found::Corrupt);
        }
        for bit in 0..entry.len() * 8 {
            let mut flipped = entry.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read::<String>("a", &flipped), Found::Corrupt, "bit {bit}");
        }
        assert_ne!(tombstone(), tombstone());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read::<String>("a", &bytes);
            let ours = [VALUE.as_slice(), &bytes].concat();
            let _ = read::<String>("a", &ours);
        }
    }
}
