use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The id that follows a request through every process and log line (`x-request-id`).
///
/// 1 to 64 letters, digits and `-_.:+/=`: long enough for a UUID or a trace id, and nothing that could forge a log line.
///
/// ```
/// use kit::RequestId;
///
/// assert!(RequestId::parse("0af7651916cd43dd").is_some());
/// assert!(RequestId::parse("two words").is_none());
/// assert_eq!(RequestId::random().as_str().len(), 32);
/// ```
#[derive(Clone)]
pub struct RequestId(Text);

/// Most ids are 32 digits or a UUID, and every call has one: those allocate nothing.
#[derive(Clone)]
enum Text {
    Short { bytes: [u8; SHORT], length: u8 },
    Long(Arc<str>),
}

/// Enough for a UUID with its hyphens.
const SHORT: usize = 38;

/// Enough for a UUID, a 128-bit id with a prefix, or a Kubernetes name; short enough for a log line.
const LONGEST: usize = 64;

impl RequestId {
    /// The header and the gRPC metadata that carry it.
    pub const HEADER: &'static str = "x-request-id";

    /// An id of 128 random bits in hexadecimal. Unique, not secret.
    pub fn random() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut value = fastrand::u128(..);
        let mut text = [b'0'; 32];
        for place in text.iter_mut().rev() {
            *place = DIGITS.get((value & 15) as usize).copied().unwrap_or(b'0');
            value >>= 4;
        }
        Self::of(&text)
    }

    /// A caller's id, if it is well-formed.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:+/=".contains(&b);
        ((1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)).then(|| Self::of(text.as_bytes()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Short { bytes, length } => {
                bytes.get(..usize::from(*length)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
            }
            Text::Long(text) => text,
        }
    }

    /// An id of these letters, which are ASCII.
    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text);
                Self(Text::Short { bytes, length })
            }
            _ => Self(Text::Long(String::from_utf8_lossy(text).into())),
        }
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
