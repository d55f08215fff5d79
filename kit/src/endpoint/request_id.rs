use std::{fmt, sync::Arc};

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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

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
        Self(String::from_utf8_lossy(&text).into())
    }

    /// A caller's id, if it is well-formed.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:+/=".contains(&b);
        ((1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
