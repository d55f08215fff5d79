//! What is called.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    str::FromStr,
};

use http::uri::{Authority, PathAndQuery};

/// The URL of what is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was given.
    pub(super) url: String,
    pub(super) grpc: bool,
    pub(super) authority: Authority,
    pub(super) path: PathAndQuery,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(
                "there is no scheme: write http://HOST:PORT/PATH or grpc://HOST:PORT/package.Service/Method".into()
            );
        };
        let grpc = match scheme {
            "http" => false,
            "grpc" => true,
            "https" | "grpcs" => {
                return Err(format!("{scheme}:// is not supported: load is put on a port without TLS"));
            }
            other => return Err(format!("`{other}://` is neither http:// nor grpc://")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority: Authority =
            authority.parse().map_err(|_| format!("`{authority}` is no host and port, as in 127.0.0.1:5001"))?;
        if authority.as_str().contains('@') {
            return Err("a user is of no use here: add a header with -H".to_owned());
        }
        match authority.port_u16() {
            Some(1..) => {}
            Some(0) => return Err("nobody listens on port 0".to_owned()),
            None if grpc || authority.as_str() != authority.host() => {
                return Err(format!("`{authority}` has no port: write {}:5002", authority.host()));
            }
            // That of HTTP.
            None => {}
        }
        if grpc {
            let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
            let named =
                parts.next().is_some_and(|part| !part.is_empty()) && parts.next().is_some_and(|part| !part.is_empty());
            if !named || parts.next().is_some() || path.contains('?') {
                return Err("say which method: grpc://HOST:PORT/package.Service/Method".to_owned());
            }
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let path = path.parse().map_err(|error| format!("`{path}` is no path: {error}"))?;
        Ok(Self { url: url.to_owned(), grpc, authority, path })
    }
}

impl Target {
    /// The address behind the name. The first one, of several.
    pub(super) fn resolve(&self) -> Result<SocketAddr, String> {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = self.authority.port_u16().unwrap_or(80);
        let mut found =
            (host, port).to_socket_addrs().map_err(|error| format!("cannot find {}: {error}", self.authority))?;
        found.next().ok_or_else(|| format!("cannot find {}: no address", self.authority))
    }
}

/// Whether the address belongs to this machine or a network of one's own.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, is_near};

    #[test]
    fn urls_are_read() {
        for (url, grpc, authority, path) in [
            ("http://a:1/b?c=d", false, "a:1", "/b?c=d"),
            ("http://a:1", false, "a:1", "/"),
            ("http://a?x=1", false, "a", "/?x=1"),
            ("http://[::1]:1/b", false, "[::1]:1", "/b"),
            ("grpc://a:1/b.C/D", true, "a:1", "/b.C/D"),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!(
                (target.grpc, target.authority.as_str(), target.path.as_str()),
                (grpc, authority, path),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told() {
        for (url, says) in [
            ("", "no scheme"),
            ("a:1", "no scheme"),
            ("https://a:1", "not supported"),
            ("grpcs://a:1/b/C", "not supported"),
            ("ftp://a:1", "neither"),
            ("http://", "no host"),
            ("http://u@a:1", "user"),
            ("http://a:0", "port 0"),
            ("http://a:x", "no port"),
            ("grpc://a/b.C/D", "no port"),
            ("grpc://a:1", "which method"),
            ("grpc://a:1/b.C", "which method"),
            ("grpc://a:1/b.C/", "which method"),
            ("grpc://a:1/b.C/D/E", "which method"),
            ("grpc://a:1/b.C/D?x=1", "which method"),
            ("http://a:1/ b", "no path"),
        ] {
            let error = url.parse::<Target>().unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn networks_of_ones_own_are_told_from_others() {
        for (address, near) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("192.168.0.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("::ffff:127.0.0.1", true),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_near(address.parse().unwrap()), near, "{address}");
        }
    }
}
