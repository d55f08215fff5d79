//! What a message must be, beyond the types of its fields: the rules of protovalidate, checked by generated code.
//!
//! The rules stand as options in the `.proto` file, `kit-build` reads them when it builds, and the code that it generates calls
//! the checks of this module: nothing is interpreted when a request comes. Who wants requests refused that break them puts
//! [`layer::validation`](crate::layer::validation) around a service; [`validate`] checks one message.
//!
//! ```
//! use kit::message::{Message, Visit, VisitField, rules::{self, Check}};
//!
//! // message Book { string title = 1 [(buf.validate.field).string = {min_len: 1, max_len: 200}]; }
//! #[derive(Clone, PartialEq, prost::Message)]
//! struct Book {
//!     #[prost(string, tag = "1")]
//!     title: String,
//! }
//!
//! impl Message for Book {
//!     const NAME: &'static str = "library.Book";
//!     # fn visit<V: Visit>(&self, _: &mut V) -> Result<(), V::Error> { Ok(()) }
//!     # fn visit_field<V: VisitField>(&mut self, name: &str, v: V) -> Result<V::Output, V::Error> { v.unknown(name) }
//!     // ... and its fields; generated like these:
//!     const HAS_RULES: bool = true;
//!     fn check_rules(&self, check: &mut Check<'_>) {
//!         check.field("title").string(&self.title).min_len(1).max_len(200);
//!     }
//! }
//!
//! let error = rules::validate(&Book::default()).unwrap_err();
//! assert_eq!(error.message(), "the request is invalid: title must have at least 1 character");
//! assert_eq!(error.field_violations()[0].field, "title");
//! ```

use std::{collections::HashMap, fmt, hash::BuildHasher};

use super::{Enum, Message};
use crate::Error;

mod bytes;
mod enumeration;
mod format;
mod list;
mod map;
mod path;
mod pattern;
mod report;
mod scalar;
mod string;
#[cfg(test)]
mod tests;
mod time;

pub use bytes::BytesCheck;
pub use enumeration::EnumCheck;
pub use format::Format;
pub use list::{ListCheck, UniqueKey};
pub use map::{MapCheck, MapKey};
pub use path::Key;
use path::{At, Step};
pub use pattern::Pattern;
use report::Report;
pub use scalar::{Float, Scalar, ScalarCheck};
pub use string::StringCheck;
pub use time::{Moment, Span};

/// As many levels as prost reads: deeper messages come from no wire.
const DEEPEST: u16 = 100;

/// How many violations [`validate`] reports: more help nobody, and each costs memory that the caller decides about.
pub const MAX_VIOLATIONS: usize = 32;

/// Checks a message against the rules of its `.proto` file.
///
/// # Errors
/// `INVALID_ARGUMENT` with a violation for each rule that is broken, [`MAX_VIOLATIONS`] at most.
pub fn validate<M: Message>(message: &M) -> Result<(), Error> {
    validate_up_to(message, MAX_VIOLATIONS)
}

/// As [`validate`], with at most `max_violations` of them (and one at least).
///
/// # Errors
/// As [`validate`].
pub fn validate_up_to<M: Message>(message: &M, max_violations: usize) -> Result<(), Error> {
    if !M::HAS_RULES {
        return Ok(());
    }
    let mut report = Report::new(max_violations);
    message.check_rules(&mut Check { report: &mut report, at: At::root() });
    report.into_result()
}

/// Whether a value is the one that an unset field without presence has: `0`, `""`, an empty list, ... What generated code asks
/// for `required` and `IGNORE_IF_ZERO_VALUE`.
pub fn is_zero<T: Zero>(value: &T) -> bool {
    value.is_zero()
}

/// A value of a field without presence.
pub trait Zero {
    /// Whether it is that of an unset field.
    fn is_zero(&self) -> bool;
}

macro_rules! zero {
    ($($type:ty => $zero:expr),* $(,)?) => {
        $(impl Zero for $type {
            fn is_zero(&self) -> bool {
                *self == $zero
            }
        })*
    };
}

zero! { i32 => 0, i64 => 0, u32 => 0, u64 => 0, f32 => 0.0, f64 => 0.0, bool => false }

impl Zero for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Zero for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V, S> Zero for HashMap<K, V, S> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

/// The check of one message, or of one value in it: where it is, and what was found so far.
///
/// A value that fits costs no memory: the path is put together when something is wrong.
#[derive(Debug)]
pub struct Check<'a> {
    report: &'a mut Report,
    at: At<'a>,
}

impl Check<'_> {
    /// The check of a field of the message, by its name in the `.proto` file.
    pub fn field(&mut self, name: &'static str) -> Check<'_> {
        self.step(Step::Field(name))
    }

    fn step<'b>(&'b mut self, step: Step<'b>) -> Check<'b> {
        Check { report: self.report, at: self.at.then(step) }
    }

    fn is_full(&self) -> bool {
        self.report.is_full()
    }

    /// Adds a violation: what must be, in words that follow the name of the field.
    #[cold]
    fn fail(&mut self, must: fmt::Arguments<'_>) {
        self.report.add(&self.at, must);
    }

    fn require(&mut self, holds: bool, must: fmt::Arguments<'_>) {
        if !holds {
            self.fail(must);
        }
    }

    /// The field, or the oneof, has to be set and is not.
    pub fn missing(mut self) {
        self.fail(format_args!("is required"));
    }

    /// Of these fields of the message one may be set, `required`: must be set. `set` says which are, in the same order.
    pub fn one_of_fields(&mut self, names: &[&str], set: &[bool], required: bool) {
        let count = set.iter().filter(|set| **set).count();
        if count > 1 {
            self.fail(format_args!("must have only one of {}", names.join(", ")));
        } else if required && count == 0 {
            self.fail(format_args!("must have one of {}", names.join(", ")));
        }
    }
}

impl<'a> Check<'a> {
    /// The rules of a string.
    pub fn string<'v>(self, value: &'v str) -> StringCheck<'a, 'v> {
        StringCheck::new(self, value)
    }

    /// The rules of bytes.
    pub fn bytes<'v>(self, value: &'v [u8]) -> BytesCheck<'a, 'v> {
        BytesCheck::new(self, value)
    }

    /// The rules of a number or a bool.
    pub fn scalar<T: Scalar>(self, value: &T) -> ScalarCheck<'a, T> {
        ScalarCheck::new(self, *value)
    }

    /// The rules of a `google.protobuf.Duration`.
    pub fn duration(self, value: &prost_types::Duration) -> ScalarCheck<'a, Span> {
        ScalarCheck::new(self, Span::new(value.seconds, value.nanos))
    }

    /// The rules of a `google.protobuf.Timestamp`.
    pub fn timestamp(self, value: &prost_types::Timestamp) -> ScalarCheck<'a, Moment> {
        ScalarCheck::new(self, Moment::new(value.seconds, value.nanos))
    }

    /// The rules of an enum.
    pub fn enumeration<E: Enum>(self, value: &i32) -> EnumCheck<'a, E> {
        EnumCheck::new(self, *value)
    }

    /// The rules of a repeated field.
    pub fn list<'v, T>(self, values: &'v [T]) -> ListCheck<'a, 'v, T> {
        ListCheck::new(self, values)
    }

    /// The rules of a map.
    pub fn map<'v, K: MapKey, V, S: BuildHasher>(self, entries: &'v HashMap<K, V, S>) -> MapCheck<'a, 'v, K, V, S> {
        MapCheck::new(self, entries)
    }

    /// The rules that a message has of its own.
    pub fn message<M: Message>(mut self, value: &M) {
        if !M::HAS_RULES {
            return;
        }
        if self.at.depth >= DEEPEST {
            return self.fail(format_args!("is nested more than {DEEPEST} levels deep"));
        }
        self.at.depth += 1;
        value.check_rules(&mut self);
    }
}

/// `1 character`, `2 characters`.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// `a, b or c`: the values that a rule names.
struct Choice<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Choice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A list of all countries is no help in a message.
        const SHOWN: usize = 16;
        for (index, value) in self.0.iter().take(SHOWN).enumerate() {
            let before = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}{value}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " or {more} more"),
        }
    }
}

/// A text in quotes, with what can't be printed escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn count(length: usize) -> u64 {
    length.try_into().unwrap_or(u64::MAX)
}
