//! `.env` files: one `KEY=VALUE` a line.

use std::sync::Arc;

use super::error::{Origin, Problem};

/// One assignment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: u64,
}

/// Reads the text of a `.env` file; a bad line is a problem and does not stop the others from being
/// read.
///
/// `#` starts a comment at the beginning of a line or after a space. Text in single quotes is taken
/// as it is; in double quotes `\n`, `\r`, `\t`, `\\`, `\"` and `\$` are escapes. Nothing is
/// expanded, and a value ends with its line.
pub(super) fn parse(file: &Arc<str>, text: &str) -> (Vec<Variable>, Vec<Problem>) {
    let mut variables: Vec<Variable> = Vec::new();
    let mut problems = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (text, line) in text.lines().zip(1..) {
        let mut problem = |name: &str, message: String| {
            let (file, name) = (Arc::clone(file), Arc::from(name));
            problems.push(Problem::new(Some(Origin::EnvFile { file, line, name }), "", message));
        };
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let text = match text.strip_prefix("export") {
            Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
            _ => text,
        };
        let Some((name, value)) = text.split_once('=') else {
            // Bad lines are not repeated: they may be the rest of a secret.
            problem("", "expected KEY=VALUE".to_owned());
            continue;
        };
        let name = name.trim_end();
        if !is_name(name) {
            problem("", "expected a name of letters, digits and `_` before the `=`".to_owned());
            continue;
        }
        match self::value(value.trim_start()) {
            Err(message) => problem(name, message.to_owned()),
            Ok(value) => match variables.iter().find(|other| other.name == name) {
                Some(first) => problem(name, format!("set twice, first on line {}", first.line)),
                None => variables.push(Variable { name: name.to_owned(), value, line }),
            },
        }
    }
    (variables, problems)
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn value(text: &str) -> Result<String, &'static str> {
    let (value, rest) = if let Some(quoted) = text.strip_prefix('\'') {
        let (value, rest) = quoted.split_once('\'').ok_or("the quote is not closed on this line")?;
        (value.to_owned(), rest)
    } else if let Some(quoted) = text.strip_prefix('"') {
        double_quoted(quoted)?
    } else {
        return Ok(unquoted(text).to_owned());
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err("there is text after the closing quote") }
}

fn unquoted(text: &str) -> &str {
    let mut previous = ' ';
    for (at, char) in text.char_indices() {
        if char == '#' && previous.is_whitespace() {
            return text.get(..at).unwrap_or(text).trim_end();
        }
        previous = char;
    }
    text.trim_end()
}

fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(same @ ('\\' | '"' | '$')) => same,
                _ => {
                    return Err(r#"unknown escape: use \n, \r, \t, \\, \" or \$, or single quotes"#);
                }
            }),
            other => value.push(other),
        }
    }
    Err("the quote is not closed on this line")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    fn values(text: &str) -> Vec<(String, String)> {
        let (variables, problems) = parse(&".env".into(), text);
        assert_eq!(problems, []);
        variables.into_iter().map(|variable| (variable.name, variable.value)).collect()
    }

    fn problems(text: &str) -> Vec<String> {
        parse(&".env".into(), text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_every_form() {
        let text = "\u{feff}# comment\r\n\nA=1\n export B = two words # comment\nC='#a $x \\n' # c\n\
                    D=\"a\\n\\\"b\\\" \\$x\"\nE=\nF=a#b\nG==x=\nexport=1\nH= # nothing\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "#a $x \\n"),
            ("D", "a\n\"b\" $x"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "=x="),
            ("export", "1"),
            ("H", ""),
        ];
        assert_eq!(values(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn names_the_line_of_each_mistake() {
        let text = "A=1\nnonsense\n1A=2\nB='x\nC=\"x\nD='x' y\nE=\"\\q\"\nA=3\n";
        assert_eq!(
            problems(text),
            [
                ".env:2: expected KEY=VALUE",
                ".env:3: expected a name of letters, digits and `_` before the `=`",
                ".env:4: B: the quote is not closed on this line",
                ".env:5: C: the quote is not closed on this line",
                ".env:6: D: there is text after the closing quote",
                ".env:7: E: unknown escape: use \\n, \\r, \\t, \\\\, \\\" or \\$, or single quotes",
                ".env:8: A: set twice, first on line 1",
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            let _ = parse(&".env".into(), &text);
        }

        #[test]
        fn any_near_miss_can_be_read(text in "([A-Z]=|export |[\"'#\\\\= \n]|é){0,40}") {
            let _ = parse(&".env".into(), &text);
        }

        #[test]
        fn single_quotes_keep_the_text(value in "[^'\r\n]{0,20}") {
            prop_assert_eq!(values(&format!("A='{value}'")), [("A".to_owned(), value)]);
        }
    }
}
