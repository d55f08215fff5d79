//! Whom to ask.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Authority};

/// Where a service says that it can be called.
const READY: &str = "/readyz";

/// The address of a service and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Http(Uri),
    Grpc(Authority),
}

impl Target {
    pub(crate) fn is_grpc(&self) -> bool {
        matches!(self, Self::Grpc(_))
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let start = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(start);
        let authority: Authority =
            authority.parse().map_err(|_| format!("`{authority}` is no host and port, as in 127.0.0.1:5001"))?;
        if authority.port_u16().is_none_or(|port| port == 0) {
            return Err(format!("`{authority}` has no port: write {}:5001", authority.host()));
        }
        if authority.as_str().contains('@') {
            return Err("a user is of no use here".to_owned());
        }
        match scheme {
            "grpc" if path.is_empty() || path == "/" => Ok(Self::Grpc(authority)),
            "grpc" => {
                Err(format!("grpc:// has no path: leave `{path}` away, or ask about a service by --service NAME"))
            }
            "http" => {
                let path = match path {
                    "" | "/" => READY.to_owned(),
                    query if query.starts_with('?') => format!("{READY}{query}"),
                    path => path.to_owned(),
                };
                let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path);
                uri.build().map(Self::Http).map_err(|error| format!("is no URL: {error}"))
            }
            "https" | "grpcs" => {
                Err(format!("{scheme}:// is not built in: ask at a port without TLS, mostly the loopback"))
            }
            other => Err(format!("`{other}://` is neither http:// nor grpc://")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(uri) => uri.fmt(f),
            Self::Grpc(authority) => write!(f, "grpc://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn addresses_are_read_with_what_is_mostly_meant() {
        for (text, read) in [
            ("127.0.0.1:5001", "http://127.0.0.1:5001/readyz"),
            ("http://a:1", "http://a:1/readyz"),
            ("http://a:1/", "http://a:1/readyz"),
            ("http://a:1?x=1", "http://a:1/readyz?x=1"),
            ("http://[::1]:1/livez", "http://[::1]:1/livez"),
            ("grpc://a:1", "grpc://a:1"),
            ("grpc://a:1/", "grpc://a:1"),
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(read.to_owned()));
        }
        for (text, says) in [
            ("", "no host"),
            ("a", "no port: write a:5001"),
            ("a:0", "no port"),
            ("a:x", "no port"),
            ("a:99999", "no port"),
            ("http://", "no host"),
            ("https://a:1", "not built in"),
            ("ftp://a:1", "neither"),
            ("grpc://a:1/x", "--service"),
            ("http://u:p@a:1", "user"),
            ("http://a:1/ b", "URL"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
