//! Which calls count together.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr, sync::Arc};

use http::HeaderName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Context;

/// 1 KiB: hashing it takes half a microsecond. Of what is longer, both ends and the length count, so that two tokens which
/// differ only in their signatures stay two.
const LONGEST: usize = 1024;

/// Which calls count together. As a text `none`, `peer` or `header:<name>`.
///
/// ```
/// use kit::layer::rate_limit::RateLimitKey;
///
/// let key: RateLimitKey = "header:x-api-key".parse()?;
/// assert_eq!(key, RateLimitKey::Header("x-api-key".to_owned()));
/// assert!("cookie".parse::<RateLimitKey>().unwrap_err().contains("header:<name>"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitKey {
    /// All calls: one limit. The default.
    #[default]
    None,
    /// Those from one address, as the socket tells it: behind a proxy that is the proxy's. Of an IPv6 address the first 64 bits
    /// count, because a network of that size is what one subscriber gets. Calls without an address (inside the process, over
    /// a Unix socket) count together.
    Peer,
    /// Those whose metadata has the same first value of this name. Calls without it count together.
    Header(String),
}

impl fmt::Display for RateLimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Peer => f.write_str("peer"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl FromStr for RateLimitKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "peer" => Ok(Self::Peer),
            _ => match text.strip_prefix("header:") {
                Some(name) => Ok(Self::Header(name.to_owned())),
                None => Err(format!("the key `{text}` is unknown: use none, peer or header:<name>")),
            },
        }
    }
}

impl Serialize for RateLimitKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RateLimitKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a program gives to say which calls count together.
pub(super) type KeyFn = Arc<dyn for<'a> Fn(&'a Context) -> Option<Cow<'a, str>> + Send + Sync>;

/// Finds the key of a call.
#[derive(Clone)]
pub(super) enum Selector {
    None,
    Peer,
    Header(HeaderName),
    Custom(KeyFn),
}

impl Selector {
    /// Otherwise what is wrong with the name.
    pub(super) fn of(key: &RateLimitKey) -> Result<Self, String> {
        match key {
            RateLimitKey::None => Ok(Self::None),
            RateLimitKey::Peer => Ok(Self::Peer),
            RateLimitKey::Header(name) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Ok(Self::Header(name)),
                Err(_) => Err(format!("names the header {name:?}, which no call can have: use a-z, 0-9, - _ .")),
            },
        }
    }

    /// What a program says.
    pub(super) fn custom(key: impl for<'a> Fn(&'a Context) -> Option<Cow<'a, str>> + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(key))
    }

    /// Gives the key of a call to `read`; `None` for one without.
    pub(super) fn read<R>(&self, cx: &Context, read: impl FnOnce(Option<Key<'_>>) -> R) -> R {
        match self {
            Self::None => read(None),
            Self::Peer => match cx.peer().and_then(|peer| peer.address).map(|address| address.ip().to_canonical()) {
                Some(IpAddr::V4(address)) => read(Some(Key::new(&address.octets()))),
                Some(IpAddr::V6(address)) => {
                    let [a, b, c, d, e, f, g, h, ..] = address.octets();
                    read(Some(Key::new(&[a, b, c, d, e, f, g, h])))
                }
                None => read(None),
            },
            Self::Header(name) => read(cx.metadata().headers().get(name).map(|value| Key::new(value.as_bytes()))),
            Self::Custom(key) => read(key(cx).as_deref().map(|key| Key::new(key.as_bytes()))),
        }
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Peer => "Peer",
            Self::Header(_) => "Header",
            Self::Custom(_) => "Custom",
        })
    }
}

/// A key, cut to what is hashed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    length: usize,
    head: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Key<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let length = bytes.len();
        if length <= LONGEST {
            return Self { length, head: bytes, tail: &[] };
        }
        let (head, rest) = bytes.split_at(LONGEST / 2);
        Self { length, head, tail: rest.split_at(rest.len() - LONGEST / 2).1 }
    }

    /// A digest that is the same in every process. The key may be a secret, so it does not stand in Redis itself; SHA-1 will
    /// do, because whoever finds two keys of one digest only has both of them share a limit.
    #[cfg(feature = "redis")]
    pub(super) fn digest(self) -> String {
        let mut sha = sha1_smol::Sha1::new();
        sha.update(&self.length.to_be_bytes());
        sha.update(self.head);
        sha.update(self.tail);
        sha.digest().to_string()
    }
}

/// The hash of a key, or of having none.
pub(super) fn hash(state: &std::hash::RandomState, key: Option<Key<'_>>) -> u64 {
    use std::hash::BuildHasher as _;
    state.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(selector: &Selector, cx: &Context) -> Option<Vec<u8>> {
        selector.read(cx, |key| key.map(|key| [key.head, key.tail].concat()))
    }

    fn header(value: &str) -> Context {
        let mut cx = Context::background();
        cx.metadata_mut().insert("x-api-key", value).unwrap();
        cx
    }

    #[test]
    fn texts_are_read_and_written() {
        for text in ["none", "peer", "header:x-api-key"] {
            assert_eq!(text.parse::<RateLimitKey>().map(|key| key.to_string()), Ok(text.to_owned()));
            let json = format!("{text:?}");
            assert_eq!(serde_json::to_string(&serde_json::from_str::<RateLimitKey>(&json).unwrap()).unwrap(), json);
        }
        let error = serde_json::from_str::<RateLimitKey>("\"ip\"").unwrap_err().to_string();
        assert!(error.contains("the key `ip` is unknown: use none, peer or header:<name>"), "{error}");
        let error = Selector::of(&RateLimitKey::Header("x y".to_owned())).unwrap_err();
        assert!(error.contains("\"x y\""), "{error}");
    }

    #[test]
    fn a_header_is_its_first_value() {
        let selector = Selector::of(&RateLimitKey::Header("X-Api-Key".to_owned())).unwrap();
        assert_eq!(bytes(&selector, &header("a")), Some(b"a".to_vec()));
        assert_eq!(bytes(&selector, &Context::background()), None);
        let mut twice = header("a");
        twice.metadata_mut().append("x-api-key", "b").unwrap();
        assert_eq!(bytes(&selector, &twice), Some(b"a".to_vec()));
    }

    #[test]
    fn a_function_finds_its_own() {
        let selector = Selector::custom(|cx| cx.metadata().get("x-api-key").map(Cow::from));
        assert_eq!(bytes(&selector, &header("blue")), Some(b"blue".to_vec()));
        assert_eq!(bytes(&selector, &Context::background()), None);
    }

    #[test]
    fn long_keys_are_cut_and_still_told_apart() {
        let state = std::hash::RandomState::new();
        let hash = |text: &str| hash(&state, Some(Key::new(text.as_bytes())));
        let long = "x".repeat(100_000);
        let key = Key::new(long.as_bytes());
        assert_eq!(key.head.len() + key.tail.len(), LONGEST);
        let hashes = [hash(&long), hash(&format!("{long}y")), hash(&format!("y{long}")), hash(&format!("{long}x"))];
        for (at, a) in hashes.iter().enumerate() {
            assert!(hashes.iter().skip(at + 1).all(|b| a != b), "{hashes:?}");
        }
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(super::hash(&state, None), super::hash(&state, Some(Key::new(b""))));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_digest_is_the_same_everywhere() {
        let digest = Key::new(b"secret").digest();
        assert_eq!(digest, Key::new(b"secret").digest());
        assert_ne!(digest, Key::new(b"secreT").digest());
        assert!(digest.len() == 40 && !digest.contains("secret"));
    }
}
