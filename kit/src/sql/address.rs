//! The URL of a database: what it means, and how it is shown without its secrets.

use sqlx::{mysql::MySqlConnectOptions, postgres::PgConnectOptions};

use super::sqlite::Sqlite;

/// A parsed URL.
pub(super) enum Options {
    Sqlite(Sqlite),
    MySql(MySqlConnectOptions),
    Postgres(PgConnectOptions),
}

impl Options {
    /// Reads a URL, or says what is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |error: sqlx::Error| {
            let cause = match error {
                sqlx::Error::Configuration(cause) => cause.to_string(),
                other => other.to_string(),
            };
            format!(
                "({}) cannot be read: {cause}; percent-encode reserved characters in user and password",
                redact(url)
            )
        };
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Self::Sqlite(Sqlite::new(url, url.parse().map_err(wrong)?)?)),
            Some("mysql" | "mariadb") => {
                let options: MySqlConnectOptions = url.parse().map_err(wrong)?;
                match options.get_database() {
                    Some(_) => Ok(Self::MySql(options)),
                    None => Err(format!("({}) names no database; add it: mysql://user@host/name", redact(url))),
                }
            }
            Some("postgres" | "postgresql") => Ok(Self::Postgres(url.parse().map_err(wrong)?)),
            None if url.is_empty() => Err("must be set, for example to sqlite://data/service.db".to_owned()),
            _ => Err(format!("({}) must start with sqlite:, mysql://, mariadb:// or postgres://", redact(url))),
        }
    }
}

/// The URL without its secrets: no password and no parameters (PostgreSQL takes a password as a parameter too).
///
/// A password with an unescaped `/`, `?` or `#` moves the borders of the URL's parts. Where that may have happened only
/// the scheme is left, since any other piece may be a piece of the password.
pub(super) fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.strip_prefix("sqlite:") {
            Some(_) => before(url, "?").to_owned(),
            None => "not a URL".to_owned(),
        };
    };
    if !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return "not a URL".to_owned();
    }
    if scheme == "sqlite" {
        return before(url, "?").to_owned();
    }
    let authority = before(rest, "/?#");
    let tail = rest.strip_prefix(authority).unwrap_or_default();
    let (user, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(before(userinfo, ":")), host),
        None => (None, authority),
    };
    let port_is_port = match host.rsplit_once(':') {
        Some((_, port)) => host.ends_with(']') || port.bytes().all(|b| b.is_ascii_digit()),
        None => true,
    };
    if tail.contains('@') || !port_is_port {
        return format!("{scheme}://...");
    }
    let path = before(tail, "?#");
    match user {
        Some(user) => format!("{scheme}://{user}@{host}{path}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

/// The text up to the first of the characters in `ends`.
fn before<'a>(text: &'a str, ends: &str) -> &'a str {
    text.split(|c| ends.contains(c)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::DatabaseConfig, redact};

    #[test]
    fn redacted_urls_keep_what_helps_and_nothing_else() {
        for (url, shown) in [
            ("mysql://root:secret@db:3306/books", "mysql://root@db:3306/books"),
            ("mysql://root@db/books?ssl-mode=DISABLED", "mysql://root@db/books"),
            ("postgres://db/books?user=a&password=secret", "postgres://db/books"),
            ("postgres://a:secret@[::1]:5432/books", "postgres://a@[::1]:5432/books"),
            ("postgres://a:secret@[::1]/books", "postgres://a@[::1]/books"),
            ("postgres://a:b@secret@db/books", "postgres://a@db/books"),
            ("sqlite://data/a.db?mode=ro", "sqlite://data/a.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("mysql://root:12/secret@db/books", "mysql://..."),
            ("mysql://root:12?secret@db/books", "mysql://..."),
            ("mysql://root:12#secret@db/books", "mysql://..."),
            ("mysql://root:secret", "mysql://..."),
            ("root:secret@db/books", "not a URL"),
            ("root:secret@db://books", "not a URL"),
            ("", "not a URL"),
        ] {
            assert_eq!(redact(url), shown, "{url}");
            assert!(!format!("{:?}", DatabaseConfig::new(url)).contains("secret"));
        }
    }
}
