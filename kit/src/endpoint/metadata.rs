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
    /// `INVALID_ARGUMENT` when the name or the value can't be sent, or the name ends in `-bin`: see [`Metadata::insert_bin`].
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), crate::Error> {
        let (name, value) = text(name, value)?;
        self.0.insert(name, value);
        Ok(())
    }

    /// Adds a value beside those that have its name.
    ///
    /// # Errors
    /// As [`Metadata::insert`].
    pub fn append(&mut self, name: &str, value: &str) -> Result<(), crate::Error> {
        let (name, value) = text(name, value)?;
        self.0.append(name, value);
        Ok(())
    }

    /// Sets bytes under a name that ends in `-bin`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the name can't be sent or does not end in `-bin`.
    pub fn insert_bin(&mut self, name: &str, value: &[u8]) -> Result<(), crate::Error> {
        let (name, value) = bytes(name, value)?;
        self.0.insert(name, value);
        Ok(())
    }

    /// Adds bytes beside those that have the name, which ends in `-bin`.
    ///
    /// # Errors
    /// As [`Metadata::insert_bin`].
    pub fn append_bin(&mut self, name: &str, value: &[u8]) -> Result<(), crate::Error> {
        let (name, value) = bytes(name, value)?;
        self.0.append(name, value);
        Ok(())
    }

    /// The first value of a name, if it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// All values of a name that are text.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The first value of a `-bin` name, decoded. gRPC lets values of one name be joined by commas on their way.
    pub fn get_bin(&self, name: &str) -> Option<Vec<u8>> {
        let first = self.get(name)?.split(',').next().unwrap_or_default().trim();
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(first.trim_end_matches('=')).ok()
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

    /// Adds what another has under the wanted names: one pass over what is there.
    pub(crate) fn copy_where(&mut self, other: &Self, wanted: impl Fn(&str) -> bool) {
        for (name, value) in other.0.iter().filter(|(name, _)| wanted(name.as_str())) {
            self.0.append(name, value.clone());
        }
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.insert(name, value);
    }

    #[cfg(feature = "cache")]
    pub(crate) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.append(name, value);
    }

    #[allow(dead_code, reason = "which transports are compiled is a choice of features")]
    pub(crate) fn from_headers(headers: HeaderMap) -> Self {
        Self(headers)
    }

    #[allow(dead_code, reason = "which transports are compiled is a choice of features")]
    pub(crate) fn into_headers(self) -> HeaderMap {
        self.0
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0
    }
}

/// The name and the value of a text.
fn text(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), crate::Error> {
    let (parsed, value) = (parse_name(name)?, parse_value(name, value)?);
    if is_bin(&parsed) {
        return Err(crate::Error::invalid_argument(format!(
            "the metadata name {name:?} ends in -bin and so holds bytes: use insert_bin, or another name"
        )));
    }
    Ok((parsed, value))
}

/// The name and the value of bytes.
fn bytes(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), crate::Error> {
    let parsed = parse_name(name)?;
    if !is_bin(&parsed) {
        return Err(crate::Error::invalid_argument(format!(
            "the metadata name {name:?} must end in -bin to hold bytes"
        )));
    }
    let value = parse_value(name, &base64::engine::general_purpose::STANDARD_NO_PAD.encode(value))?;
    Ok((parsed, value))
}

/// Whether a name, which is lower case by now, is one of bytes.
fn is_bin(name: &HeaderName) -> bool {
    name.as_str().ends_with("-bin")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_name_of_bytes_holds_bytes_in_any_case() {
        let mut metadata = Metadata::new();
        metadata.insert_bin("X-Token-BIN", &[0, 255]).unwrap();
        assert_eq!(metadata.get_bin("x-token-bin"), Some(vec![0, 255]));
        for name in ["x-token-bin", "X-Token-Bin"] {
            assert_eq!(metadata.insert(name, "plain").unwrap_err().code(), Code::InvalidArgument);
            assert_eq!(metadata.append(name, "plain").unwrap_err().code(), Code::InvalidArgument);
        }
        assert_eq!(metadata.insert_bin("x-token", &[1]).unwrap_err().code(), Code::InvalidArgument);
        metadata.append_bin("x-token-bin", &[1]).unwrap();
        assert_eq!(metadata.len(), 2);
    }

    #[test]
    fn of_values_that_were_joined_on_their_way_the_first_is_read() {
        for sent in ["AP8,AQ", "AP8=, AQ==", "AP8="] {
            let mut headers = HeaderMap::new();
            headers.insert("x-token-bin", HeaderValue::from_static(sent));
            assert_eq!(Metadata::from_headers(headers).get_bin("x-token-bin"), Some(vec![0, 255]), "{sent}");
        }
    }
}
