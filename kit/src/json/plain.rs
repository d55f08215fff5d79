//! Reads the text of a message in one pass, as long as it is plain.
//!
//! It gives up (`None`) on whatever it does not expect: a mistake of any kind, and what is right and seldom. Then the text is read
//! from its beginning by serde_json, which takes what is right and says what is wrong, and where. So this may know less than the
//! other reader, but it must not know anything else.

use std::{borrow::Cow, collections::HashMap};

use serde::de::IgnoredAny;

use super::{
    Options, Reader, UnknownFields,
    read::{Seen, read_document_with},
};
use crate::message::{Codec, Field, KeyCodec, Message, VisitField};

/// How deep it goes: less than serde_json does.
const DEEPEST: usize = 64;

/// The text of a message, and how far it was read.
#[derive(Debug)]
pub struct Scanner<'a> {
    options: &'a Options,
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// Reads a message, if its text is plain.
pub(super) fn read<M: Message>(text: &[u8], options: &Options) -> Option<M> {
    let mut scanner = Scanner { options, text, at: 0, depth: 0 };
    let mut message = M::default();
    message.scan_json(&mut scanner)?;
    scanner.skip_space();
    (scanner.at == text.len()).then_some(message)
}

/// Reads an object of fields into a message, or by serde_json what has a form of its own: the default of [`Message::scan_json`].
pub fn scan_object<M: Message>(message: &mut M, scanner: &mut Scanner<'_>) -> Option<()> {
    if M::IS_VALUE {
        let raw = scanner.raw_value()?;
        return read_document_with(raw, |deserializer| message.read_json(&Reader::new(scanner.options), deserializer));
    }
    let mut seen = Seen::default();
    scanner.object(|name, scanner| message.visit_field(name, FieldScanner { scanner, seen: &mut seen }).ok())
}

/// Reads a value by serde_json: the default of [`Codec::scan`].
pub(crate) fn value<C: Codec>(scanner: &mut Scanner<'_>) -> Option<C::Value> {
    let raw = scanner.raw_value()?;
    read_document_with(raw, |deserializer| C::read(&Reader::new(scanner.options), deserializer))
}

impl<'a> Scanner<'a> {
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    /// Eats a word if it is next.
    pub(crate) fn word(&mut self, word: &str) -> Option<()> {
        self.skip_space();
        self.text.get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// What comes before a `,` or the end of an object or an array; false at the end.
    fn goes_on(&mut self, first: bool, end: u8) -> Option<bool> {
        let next = self.peek()?;
        if next == end {
            self.at += 1;
            return Some(false);
        }
        if !first {
            if next != b',' {
                return None;
            }
            self.at += 1;
        }
        Some(true)
    }

    fn object(&mut self, mut entry: impl FnMut(&str, &mut Self) -> Option<()>) -> Option<()> {
        self.eat(b'{')?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut first = true;
        while self.goes_on(first, b'}')? {
            first = false;
            let name = self.plain_string()?;
            self.eat(b':')?;
            entry(name, self)?;
        }
        self.depth -= 1;
        Some(())
    }

    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.eat(b'[')?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut first = true;
        while self.goes_on(first, b']')? {
            first = false;
            element(self)?;
        }
        self.depth -= 1;
        Some(())
    }

    /// How many bytes of a string come before its end, an escape, or what may not be in it.
    fn run(&self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        let special = |b: &u8| (*b < 0x20) | (*b == b'"') | (*b == b'\\');
        let (parts, _) = rest.as_chunks::<16>();
        // Without a way out of the inner loop it is done on many bytes at a time.
        let plain =
            parts.iter().take_while(|part| !part.iter().fold(false, |found, b| found | special(b))).count() * 16;
        Some(plain + rest.get(plain..)?.iter().position(special)?)
    }

    /// A string without escapes.
    fn plain_string(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let end = self.at + self.run()?;
        let text = self.text.get(self.at..end)?;
        (self.text.get(end) == Some(&b'"')).then(|| self.at = end + 1)?;
        str::from_utf8(text).ok()
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        self.eat(b'"')?;
        let start = self.at;
        self.at += self.run()?;
        if self.text.get(self.at) == Some(&b'"') {
            let text = self.text.get(start..self.at)?;
            self.at += 1;
            return str::from_utf8(text).ok().map(Cow::Borrowed);
        }
        let mut out = self.text.get(start..self.at)?.to_vec();
        loop {
            let special = *self.text.get(self.at)?;
            self.at += 1;
            match special {
                b'"' => return String::from_utf8(out).ok().map(Cow::Owned),
                b'\\' => self.escape(&mut out)?,
                _ => return None,
            }
            let start = self.at;
            self.at += self.run()?;
            out.extend_from_slice(self.text.get(start..self.at)?);
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let escaped = *self.text.get(self.at)?;
        self.at += 1;
        let byte = match escaped {
            b'"' | b'\\' | b'/' => escaped,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 4;
                // Halves of a character are left to serde_json.
                let c = char::from_u32(u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        };
        out.push(byte);
        Some(())
    }

    /// An integer, in quotes or without.
    pub(crate) fn integer<T: std::str::FromStr>(&mut self) -> Option<T> {
        if self.peek()? == b'"' {
            let text = self.plain_string()?;
            return if text.starts_with('+') { None } else { text.parse().ok() };
        }
        let rest = self.text.get(self.at..)?;
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest.get(sign..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        let zeros_lead = digits > 1 && rest.get(sign) == Some(&b'0');
        let goes_on = matches!(rest.get(sign + digits), Some(b'.' | b'e' | b'E'));
        if digits == 0 || zeros_lead || goes_on {
            return None;
        }
        let number = str::from_utf8(rest.get(..sign + digits)?).ok()?.parse().ok()?;
        self.at += sign + digits;
        Some(number)
    }

    /// Whether the next thing is a string.
    pub(crate) fn is_string(&mut self) -> bool {
        self.peek() == Some(b'"')
    }

    /// The text of one value, whatever it is.
    fn raw_value(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let rest = self.text.get(self.at..)?;
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let raw = rest.get(..values.byte_offset())?;
        // Who reads it begins to count anew.
        let brackets = raw.iter().filter(|b| matches!(b, b'{' | b'[')).count();
        if self.depth + brackets > DEEPEST {
            return None;
        }
        self.at += raw.len();
        Some(raw)
    }
}

/// What it gives up with.
struct NotPlain;

struct FieldScanner<'s, 'a> {
    scanner: &'s mut Scanner<'a>,
    seen: &'s mut Seen,
}

impl FieldScanner<'_, '_> {
    fn first_time(&mut self, field: &Field) -> Result<(), NotPlain> {
        if self.seen.insert(field.index) { Ok(()) } else { Err(NotPlain) }
    }

    fn is_null(&mut self) -> Result<bool, NotPlain> {
        if self.scanner.peek() != Some(b'n') {
            return Ok(false);
        }
        self.scanner.word("null").map(|()| true).ok_or(NotPlain)
    }

    fn nullable<C: Codec>(&mut self, field: &Field) -> Result<Option<C::Value>, NotPlain> {
        self.first_time(field)?;
        if !C::NULL_IS_VALUE && self.is_null()? {
            return Ok(None);
        }
        C::scan(self.scanner).map(Some).ok_or(NotPlain)
    }
}

impl VisitField for FieldScanner<'_, '_> {
    type Output = ();
    type Error = NotPlain;

    fn singular<C: Codec>(mut self, field: &Field, value: &mut C::Value) -> Result<(), NotPlain> {
        if let Some(read) = self.nullable::<C>(field)? {
            *value = read;
        }
        Ok(())
    }

    fn optional<C: Codec>(mut self, field: &Field, value: &mut Option<C::Value>) -> Result<(), NotPlain> {
        *value = self.nullable::<C>(field)?;
        Ok(())
    }

    fn member<C: Codec, O>(
        mut self,
        field: &Field,
        slot: &mut Option<O>,
        wrap: fn(C::Value) -> O,
        _: fn(&mut O) -> Option<&mut C::Value>,
    ) -> Result<(), NotPlain> {
        if let Some(read) = self.nullable::<C>(field)? {
            if slot.is_some() {
                return Err(NotPlain);
            }
            *slot = Some(wrap(read));
        }
        Ok(())
    }

    fn repeated<C: Codec>(mut self, field: &Field, values: &mut Vec<C::Value>) -> Result<(), NotPlain> {
        self.first_time(field)?;
        if self.is_null()? {
            return Ok(());
        }
        let push = |scanner: &mut Scanner<'_>| {
            values.push(C::scan(scanner)?);
            Some(())
        };
        self.scanner.array(push).ok_or(NotPlain)
    }

    fn map<K: KeyCodec, C: Codec>(
        mut self,
        field: &Field,
        entries: &mut HashMap<K::Value, C::Value>,
    ) -> Result<(), NotPlain> {
        self.first_time(field)?;
        if self.is_null()? {
            return Ok(());
        }
        let insert = |name: &str, scanner: &mut Scanner<'_>| {
            let key = K::parse(name).ok()?;
            entries.insert(key, C::scan(scanner)?).is_none().then_some(())
        };
        self.scanner.object(insert).ok_or(NotPlain)
    }

    fn unknown(self, _: &str) -> Result<(), NotPlain> {
        match self.scanner.options.unknown_fields {
            UnknownFields::Ignore => self.scanner.raw_value().map(drop).ok_or(NotPlain),
            UnknownFields::Reject => Err(NotPlain),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{SourceContext, Struct};

    use super::*;
    use crate::proto::google::rpc::{BadRequest, ErrorInfo, Status};

    /// Reads by both; `plain` says whether the first one is up to it.
    fn same<M: Message>(text: &str, plain: bool) {
        let options = Options::default();
        let read = read::<M>(text.as_bytes(), &options);
        assert_eq!(read.is_some(), plain, "{text}");
        let other = super::super::read::read_by_serde::<M>(text.as_bytes(), &options);
        match read {
            Some(read) => assert!(read == other.unwrap(), "{text}"),
            // It is no matter then whether it is right.
            None => drop(other),
        }
    }

    #[test]
    fn what_is_plain_is_read_as_serde_reads_it() {
        for text in [
            "{}",
            " { } ",
            r#"{"fileName":"a.proto"}"#,
            r#"{"file_name" : "a" , "more" : [1, {"x": null}, "]"] }"#,
            r#"{"fileName":"\"a\\\/\b\f\n\r\t\u00e9 \u4e2d 罗贯中, and a text that is longer than a part"}"#,
            r#"{"fileName":null}"#,
        ] {
            same::<SourceContext>(text, true);
        }
        same::<ErrorInfo>(r#"{"reason":"A","metadata":{"a":"1","b":"2"}}"#, true);
        same::<BadRequest>(r#"{"fieldViolations":[{"field":"a"},{"description":"b"},{}]}"#, true);
        for code in ["5", "\"5\"", "-7", "0", "-0", "null"] {
            same::<Status>(&format!("{{\"code\":{code},\"details\":[]}}"), true);
        }
        same::<Struct>(r#"{"a":[1,{"b":null}]}"#, true);
    }

    #[test]
    fn what_is_not_plain_is_left_to_serde() {
        for text in [
            "",
            "{",
            "{} {}",
            "[]",
            "{,}",
            r#"{"fileName":"a",}"#,
            r#"{"fileName":"a" "b":1}"#,
            r#"{"fileName":1}"#,
            r#"{"fileName":"a","file_name":"b"}"#,
            r#"{"file\u004eame":"a"}"#,
            r#"{"fileName":"\ud83d\ude00"}"#,
            r#"{"fileName":"\x"}"#,
            r#"{"fileName":"\u+123"}"#,
            "{\"fileName\":\"a\nb\"}",
            r#"{"more":01}"#,
            r#"{"more":nul}"#,
        ] {
            same::<SourceContext>(text, false);
        }
        for code in ["1.0", "1e2", "01", "-", "+1", "\"+1\"", "2147483648", "\"\"", "true", "nul"] {
            same::<Status>(&format!("{{\"code\":{code}}}"), false);
        }
        same::<ErrorInfo>(r#"{"metadata":{"a":"1","a":"2"}}"#, false);
        same::<BadRequest>(r#"{"fieldViolations":[{},]}"#, false);
        let deep = format!("{{\"more\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        same::<SourceContext>(&deep, false);
        assert!(super::super::from_str::<SourceContext>(&deep).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_left_to_serde() {
        for text in [&b"{\"fileName\":\"\xff\"}"[..], b"{\"\xff\":1}"] {
            assert!(read::<SourceContext>(text, &Options::default()).is_none());
        }
    }
}
