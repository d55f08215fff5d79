//! A statement without the values that somebody wrote into it.

/// What differs between servers in how a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `"name"` is a name.
    Standard,
    /// `"text"` is a value, and a backslash escapes.
    MySql,
    /// `$tag$text$tag$` is a value, and a backslash escapes in `E'text'`.
    Postgres,
}

/// The statement on one line, with `?` for every text and number in it and without comments, which have values too where
/// something adds them. Placeholders stay. A literal that does not end takes the rest with it.
pub(super) fn without_values(statement: &str, dialect: Dialect) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            space(&mut out);
            first.len_utf8()
        } else if let Some(length) = comment(rest, dialect) {
            space(&mut out);
            length
        } else if let Some(length) = literal(rest, dialect, &out) {
            out.push('?');
            length
        } else if first == '"' || first == '`' {
            let length = quoted(rest, first, false);
            out.push_str(rest.get(..length).unwrap_or_default());
            length
        } else {
            // A word whole, so that a digit in a name is not taken for a number; `$1` is one too.
            let length = word(rest).max(first.len_utf8());
            out.push_str(rest.get(..length).unwrap_or_default());
            length
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    out.truncate(out.trim_end().len());
    out
}

fn space(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '@' | '#' | ':')
}

/// How long the word at the start is.
fn word(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

fn comment(text: &str, dialect: Dialect) -> Option<usize> {
    if text.starts_with("--") || (dialect == Dialect::MySql && text.starts_with('#')) {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let inside = text.strip_prefix("/*")?;
    Some(inside.find("*/").map_or(text.len(), |end| end + 4))
}

/// How long the value at the start is, when there is one; `before` is what stands in front of it.
fn literal(text: &str, dialect: Dialect, before: &str) -> Option<usize> {
    let first = text.chars().next()?;
    match first {
        '\'' => {
            let escapes = dialect == Dialect::MySql || (dialect == Dialect::Postgres && before.ends_with(['e', 'E']));
            Some(quoted(text, first, escapes))
        }
        '"' if dialect == Dialect::MySql => Some(quoted(text, first, true)),
        '$' if dialect == Dialect::Postgres => dollar(text),
        '0'..='9' => Some(number(text)),
        '.' if text.get(1..).is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())) => Some(number(text)),
        _ => None,
    }
}

/// How long the text in quotes at the start is. A doubled quote stands for one.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return at + c.len_utf8(),
            }
        }
    }
    text.len()
}

/// `$tag$text$tag$`, but not the placeholder `$1`.
fn dollar(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('$')?;
    let tag = inside.find('$')?;
    let name = inside.get(..tag)?;
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let mark = text.get(..tag + 2)?;
    let body = text.get(mark.len()..)?;
    Some(body.find(mark).map_or(text.len(), |end| mark.len() + end + mark.len()))
}

/// How long the number at the start is: digits, a point, an exponent with its sign, `0x..`.
fn number(text: &str) -> usize {
    let mut before = ' ';
    let end = text.find(|c: char| {
        let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !text.starts_with("0x");
        let part = c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign;
        before = c;
        !part
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_masked_and_the_rest_is_not() {
        use Dialect::{MySql, Postgres, Standard};
        for (dialect, statement, shown) in [
            (Standard, "\n  SELECT a1\n  FROM t2 WHERE id = $1", "SELECT a1 FROM t2 WHERE id = $1"),
            (Standard, "SELECT x FROM t WHERE a = ? LIMIT 10", "SELECT x FROM t WHERE a = ? LIMIT ?"),
            (Standard, "INSERT INTO t VALUES ('it''s', 12.5, -3e-4, .5)", "INSERT INTO t VALUES (?, ?, -?, ?)"),
            (Standard, "SELECT \"a'b\" FROM \"t 1\" WHERE c='x'", "SELECT \"a'b\" FROM \"t 1\" WHERE c=?"),
            (Standard, "SELECT 1 -- secret\n+ 2 /* secret */ + 3", "SELECT ? + ? + ?"),
            (Standard, "SELECT x'00ff', :name, @p1", "SELECT x?, :name, @p1"),
            (Standard, "SELECT 'not ended", "SELECT ?"),
            (Standard, "SELECT 0xFF, 1e5, 1_000", "SELECT ?, ?, ?"),
            (MySql, r#"SELECT "se\"cret", 'se\'cret', `t"1` # secret"#, "SELECT ?, ?, `t\"1`"),
            (Postgres, r"SELECT E'se\'cret', 'a\', 'b'", "SELECT E?, ?, ?"),
            (Postgres, "SELECT $$secret$$, $x$se$$cret$x$, $1::int8", "SELECT ?, ?, $1::int8"),
            (Postgres, "SELECT 'ä', \"ä\" FROM ü", "SELECT ?, \"ä\" FROM ü"),
            (Standard, "", ""),
        ] {
            assert_eq!(without_values(statement, dialect), shown);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in any::<String>(), value in "[a-z]{8}") {
            for dialect in [Dialect::Standard, Dialect::MySql, Dialect::Postgres] {
                without_values(&text, dialect);
                let statement = format!("SELECT a FROM t WHERE b = '{value}' AND c = 'x{value}'");
                prop_assert!(!without_values(&statement, dialect).contains(&value));
            }
        }
    }
}
