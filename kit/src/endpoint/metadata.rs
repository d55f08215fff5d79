use std::fmt;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, header::Entry};

/// Names and values that travel beside a message: gRPC metadata, HTTP headers.
///
/// Names are lower case. A name that ends in `-bin` holds bytes, which travel as base64. Cheap while empty.
///
/// ```
/// use kit::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("x-tenant", "blue")?;
/// metadata.insert_bin("x-token-bin", &[0, 255])?;
/// assert_eq!(metadata.get("x-tenant"), Some("blue"));
/// assert_eq!(metadata.get_bin("x-token-bin"), Some(vec![0, 255]));
/// # Ok::<(), kit::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Metadata(HeaderMap);

impl Metadata {
    /// No metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value, in the place of all that had its name.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name or the value can't be sent.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), crate::Error> {
        let (name, value) = (parse_name(name)?, parse_value(name, value)?);
        self.0.insert(name, value);
        Ok(())
    }

    /// Adds a value beside those that have its name.
    ///
    /// # Errors
    /// As [`Metadata::insert`].
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), crate::Error> {
        let (name, value) = (parse_name(name)?, parse_value(name, value)?);
        self.0.append(name, value);
        Ok(())
    }

    /// Sets bytes under a name that ends in `-bin`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name can't be sent or does not end in `-bin`.
    pub fn insert_bin(&mut self, name: &str, value: &[u8]) -> Result<(), crate::Error> {
        if !name.ends_with("-bin") {
            return Err(crate::Error::invalid_argument(format!(
                "the metadata name {name:?} must end in -bin to hold bytes"
            )));
        }
        self.insert(name, &base64::engine::general_purpose::STANDARD_NO_PAD.encode(value))
    }

    /// The first value of a name, if it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// All values of a name that are text.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The first value of a `-bin` name, decoded.
    pub fn get_bin(&self, name: &str) -> Option<Vec<u8>> {
        let text = self.get(name)?;
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()
    }

    /// Takes all values of a name out.
    pub fn remove(&mut self, name: &str) {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            && let Entry::Occupied(entry) = self.0.entry(name)
        {
            entry.remove_entry_mult();
        }
    }

    /// Names and values; a name comes once for each value. Values that are no text are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of another's; a name of it replaces the one here.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn copy_from(&mut self, other: &Self, name: &HeaderName) {
        for value in other.0.get_all(name) {
            self.0.append(name, value.clone());
        }
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.insert(name, value);
    }

    #[allow(dead_code, reason = "which transports are compiled is a choice of features")]
    pub(crate) fn from_headers(headers: HeaderMap) -> Self {
        Self(headers)
    }

    #[allow(dead_code, reason = "which transports are compiled is a choice of features")]
    pub(crate) fn into_headers(self) -> HeaderMap {
        self.0
    }

    #[allow(dead_code, reason = "which transports are compiled is a choice of features")]
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0
    }
}

fn parse_name(name: &str) -> Result<HeaderName, crate::Error> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        crate::Error::invalid_argument(format!("{name:?} can't be the name of metadata: use a-z, 0-9, - _ ."))
    })
}

fn parse_value(name: &str, value: &str) -> Result<HeaderValue, crate::Error> {
    HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok()).ok_or_else(|| {
        crate::Error::invalid_argument(format!("the metadata {name:?} has a value that is not printable ASCII"))
    })
}

/// Names only: values may be secrets.
impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
