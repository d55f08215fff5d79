//! Hides the passwords of URLs in text that is printed.

use std::borrow::Cow;

use super::secret::MASK;

/// Query parameters that database drivers and HTTP services read credentials from.
const SECRET_PARAMETERS: [&str; 6] = ["password", "passwd", "pwd", "secret", "token", "access_token"];

/// `mysql://root:pw@host/db` becomes `mysql://root:***@host/db`, anywhere in the text, as often as
/// it occurs.
///
/// When in doubt it hides too much: a password may hold characters that a URL ought to have
/// escaped.
pub(super) fn mask_urls(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        masked.push_str(before);
        masked.push_str("://");
        let end = after.find(is_boundary).unwrap_or(after.len());
        let (url, following) = after.split_at(end);
        // Only up to the next scheme, so that each URL of a list is looked at for itself.
        let own = url.find("://").map_or(url.len(), |next| {
            let head = url.get(..next).unwrap_or_default();
            head.trim_end_matches(is_scheme).len()
        });
        let (own, others) = url.split_at(own);
        match password(own) {
            Some((head, tail)) => {
                masked.push_str(head);
                masked.push_str(MASK);
                mask_query(tail, &mut masked);
            }
            None => mask_query(own, &mut masked),
        }
        rest = if others.is_empty() { following } else { after.get(own.len()..).unwrap_or_default() };
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

fn is_scheme(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.')
}

fn is_boundary(char: char) -> bool {
    char.is_whitespace() || matches!(char, '"' | '`')
}

/// Splits `user:password@host` around the password.
fn password(url: &str) -> Option<(&str, &str)> {
    let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
    let colon = url.find(':').filter(|colon| *colon < authority)?;
    let inside = url.get(..authority).and_then(|part| part.rfind('@'));
    // An `@` after the authority may be a part of the path, or the end of a password with a `/`, `?` or `#` that was not
    // escaped: it is taken for the latter. A bracket opens an IPv6 address, which has no password.
    let at = inside.or_else(|| url.rfind('@').filter(|_| !url.starts_with('['))).filter(|at| *at > colon)?;
    Some((url.get(..=colon)?, url.get(at..)?))
}

fn mask_query(text: &str, masked: &mut String) {
    let Some((path, query)) = text.split_once('?') else {
        masked.push_str(text);
        return;
    };
    masked.push_str(path);
    masked.push('?');
    for (index, parameter) in query.split('&').enumerate() {
        if index > 0 {
            masked.push('&');
        }
        match parameter.split_once('=') {
            Some((name, _)) if SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) => {
                masked.push_str(name);
                masked.push('=');
                masked.push_str(MASK);
            }
            _ => masked.push_str(parameter),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::mask_urls;

    #[test]
    fn hides_passwords_and_nothing_else() {
        for (text, expected) in [
            ("plain", "plain"),
            ("mysql://root:pw@host:3306/db", "mysql://root:***@host:3306/db"),
            ("redis://:pw@host", "redis://:***@host"),
            ("redis://:a@h1,redis://:b@h2/0", "redis://:***@h1,redis://:***@h2/0"),
            ("mysql://u:p@w@host/x", "mysql://u:***@host/x"),
            ("mysql://u:p/w@host/x", "mysql://u:***@host/x"),
            ("postgres://h/db?user=a&password=b&x=1", "postgres://h/db?user=a&password=***&x=1"),
            ("http://host:8080/a@b", "http://host:***@b"),
            ("mysql://u:1?2@host/x", "mysql://u:***@host/x"),
            ("http://host:8080/a", "http://host:8080/a"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
            ("http://host/a:b@c", "http://host/a:b@c"),
            ("https://user@host", "https://user@host"),
            ("bad value \"x://a:b@c\" and x://d:e@f.", "bad value \"x://a:***@c\" and x://d:***@f."),
        ] {
            assert_eq!(mask_urls(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_masked(text in "([a-z:/@?&=#,\\[ é]|://){0,60}") {
            let _ = mask_urls(&text);
        }

        #[test]
        fn no_password_survives(password in "[A-Z0-9@:]{4,12}Q") {
            let url = format!("mysql://root:{password}@host/db");
            prop_assert_eq!(mask_urls(&url), "mysql://root:***@host/db");
        }
    }
}
