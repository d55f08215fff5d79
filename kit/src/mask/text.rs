//! Hides the passwords of URLs in text that is printed.

use std::borrow::Cow;

use super::MASK;

/// `mysql://root:pw@host/db` becomes `mysql://root:***@host/db`, anywhere in the text, as often as it occurs, and the query
/// parameters that are secret by their name lose their values, in a request target without a host too.
///
/// When in doubt it hides too much: a password may hold characters that a URL ought to have
/// escaped.
pub(super) fn mask(text: &str, hides: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let any = text.contains("://") || (text.contains('?') && text.contains('='));
    if !any {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        mask_words(before, &hides, &mut masked);
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
                mask_query(tail, &hides, &mut masked);
            }
            None => mask_query(own, &hides, &mut masked),
        }
        rest = if others.is_empty() { following } else { after.get(own.len()..).unwrap_or_default() };
    }
    mask_words(rest, &hides, &mut masked);
    Cow::Owned(masked)
}

/// Looks at each word of a text without URLs: it may be the target of a request.
fn mask_words(text: &str, hides: &impl Fn(&str) -> bool, masked: &mut String) {
    for word in text.split_inclusive(is_boundary) {
        let end = word.find(is_boundary).unwrap_or(word.len());
        let (word, boundary) = word.split_at(end);
        mask_query(word, hides, masked);
        masked.push_str(boundary);
    }
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
    // An `@` after the authority may be a part of the path, or the end of a password with a `/`, `?` or `#` that was not
    // escaped: it is taken for the latter. A bracket opens an IPv6 address, which has no password.
    let at = url.rfind('@').filter(|at| *at > colon && (*at < authority || !url.starts_with('[')))?;
    Some((url.get(..=colon)?, url.get(at..)?))
}

fn mask_query(text: &str, hides: &impl Fn(&str) -> bool, masked: &mut String) {
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
            Some((name, _)) if hides(name) => {
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

    use crate::mask::urls;

    #[test]
    fn hides_passwords_and_nothing_else() {
        for (text, expected) in [
            ("plain", "plain"),
            ("what? a=b", "what? a=b"),
            ("GET /v1/a?page=2&access_token=x failed: é?pwd=1", "GET /v1/a?page=2&access_token=*** failed: é?pwd=***"),
            ("GET /a?token=x, see https://h/?sig=y&z=1", "GET /a?token=*** see https://h/?sig=***&z=1"),
            ("mysql://root:pw@host:3306/db", "mysql://root:***@host:3306/db"),
            ("redis://:pw@host", "redis://:***@host"),
            ("redis://:a@h1,redis://:b@h2/0", "redis://:***@h1,redis://:***@h2/0"),
            ("mysql://u:p@w@host/x", "mysql://u:***@host/x"),
            ("mysql://u:p/w@host/x", "mysql://u:***@host/x"),
            ("mysql://u:p@s/w@host/x", "mysql://u:***@host/x"),
            ("mysql://u:p@host/x?by=a@b", "mysql://u:***@b"),
            ("postgres://h/db?user=a&password=b&x=1", "postgres://h/db?user=a&password=***&x=1"),
            ("http://host:8080/a@b", "http://host:***@b"),
            ("mysql://u:1?2@host/x", "mysql://u:***@host/x"),
            ("http://host:8080/a", "http://host:8080/a"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
            ("http://host/a:b@c", "http://host/a:b@c"),
            ("https://user@host", "https://user@host"),
            ("bad value \"x://a:b@c\" and x://d:e@f.", "bad value \"x://a:***@c\" and x://d:***@f."),
        ] {
            assert_eq!(urls(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_masked(text in "([a-z:/@?&=#,\\[ é]|://){0,60}") {
            let _ = urls(&text);
        }

        #[test]
        fn no_password_survives(password in "[A-Z0-9@:]{4,12}Q") {
            let url = format!("mysql://root:{password}@host/db");
            prop_assert_eq!(urls(&url), "mysql://root:***@host/db");
        }
    }
}
