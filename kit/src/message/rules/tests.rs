//! What is said of a value that does not fit, and the limits of the checks; that they agree with protovalidate is shown beside an
//! oracle in `tests/integration/validation`.

use std::{collections::HashMap, ops::Bound};

use super::{report::Report, *};

/// What a check says of one field, `path text` for each violation.
fn said(check: impl FnOnce(Check<'_>)) -> Vec<String> {
    let mut report = Report::new(MAX_VIOLATIONS);
    check(Check { report: &mut report, at: At::root() }.field("x"));
    let Err(error) = report.into_result() else { return Vec::new() };
    error.field_violations().iter().map(|violation| format!("{} {}", violation.field, violation.description)).collect()
}

#[test]
fn strings_are_told_what_they_must_be() {
    let of = |value: &'static str, check: for<'a> fn(StringCheck<'a, 'static>) -> StringCheck<'a, 'static>| {
        said(|c| {
            check(c.string(value));
        })
        .concat()
    };
    assert_eq!(of("a", |c| c.equals("b\"")), r#"x must be "b\"""#);
    assert_eq!(of("a", |c| c.len(2)), "x must have 2 characters");
    assert_eq!(of("", |c| c.min_len(1)), "x must have at least 1 character");
    assert_eq!(of("éé", |c| c.max_len(1)), "x must have at most 1 character");
    assert_eq!(of("é", |c| c.len_bytes(1)), "x must have 1 byte");
    assert_eq!(of("é", |c| c.min_bytes(3)), "x must have at least 3 bytes");
    assert_eq!(of("é", |c| c.max_bytes(1)), "x must have at most 1 byte");
    assert_eq!(of("ab", |c| c.prefix("b")), r#"x must start with "b""#);
    assert_eq!(of("ab", |c| c.suffix("a")), r#"x must end with "a""#);
    assert_eq!(of("ab", |c| c.contains("c")), r#"x must contain "c""#);
    assert_eq!(of("ab", |c| c.not_contains("b")), r#"x must not contain "b""#);
    assert_eq!(of("a", |c| c.one_of(&["b", "c", "d"])), r#"x must be "b", "c" or "d""#);
    assert_eq!(of("a", |c| c.none_of(&["a"])), r#"x must not be "a""#);
    assert_eq!(of("a", |c| c.format(Format::Email)), "x must be an email address");
    assert_eq!(of("A", |c| c.pattern(&Pattern::new("^[a-z]$"))), "x must match the pattern `^[a-z]$`");
    // Nothing passes a rule by the rule being wrong.
    assert_eq!(of("A", |c| c.pattern(&Pattern::new("("))), "x must match the pattern `(`");
    // Characters are counted, not bytes; and one value may break several rules.
    assert_eq!(of("éé", |c| c.len(2).min_len(2).max_len(2).len_bytes(4)), "");
    assert_eq!(of("", |c| c.min_len(1).prefix("a")), r#"x must have at least 1 characterx must start with "a""#);
}

#[test]
fn long_choices_are_cut() {
    let countries: Vec<i32> = (1..=20).collect();
    assert_eq!(
        said(|c| {
            c.scalar(&0).one_of(&countries);
        }),
        ["x must be 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 or 4 more"]
    );
}

#[test]
fn numbers_are_told_what_they_must_be() {
    use Bound::{Excluded, Included};
    let of = |value: i32, check: fn(ScalarCheck<'_, i32>) -> ScalarCheck<'_, i32>| {
        said(|c| {
            check(c.scalar(&value));
        })
        .concat()
    };
    assert_eq!(of(1, |c| c.equals(-2)), "x must be -2");
    assert_eq!(of(1, |c| c.none_of(&[1, 2])), "x must not be 1 or 2");
    assert_eq!(of(1, |c| c.gt(1)), "x must be greater than 1");
    assert_eq!(of(1, |c| c.gte(2)), "x must be at least 2");
    assert_eq!(of(1, |c| c.lt(1)), "x must be less than 1");
    assert_eq!(of(1, |c| c.lte(0)), "x must be at most 0");
    assert_eq!(of(1, |c| c.range(Excluded(1), Included(3))), "x must be greater than 1 and at most 3");
    // An upper limit below the lower one: what is between them is out.
    assert_eq!(of(2, |c| c.range(Included(3), Excluded(2))), "x must be less than 2 or at least 3");
    assert_eq!(of(3, |c| c.range(Included(3), Excluded(2))), "");
    assert_eq!(of(1, |c| c.range(Included(3), Excluded(2))), "");
    assert_eq!(
        said(|c| {
            c.scalar(&f64::NAN).finite();
        }),
        ["x must be a finite number"]
    );
    // NaN is in no range, not even outside of one.
    assert_eq!(
        said(|c| {
            c.scalar(&f64::NAN).range(Excluded(3.0), Excluded(2.0));
        })
        .len(),
        1
    );
    assert_eq!(
        said(|c| {
            c.scalar(&f32::NAN).lt(2.0);
        }),
        ["x must be less than 2"]
    );
    assert_eq!(
        said(|c| {
            c.scalar(&false).equals(true);
        }),
        ["x must be true"]
    );
}

#[test]
fn times_are_told_what_they_must_be() {
    let duration = |seconds, nanos| prost_types::Duration { seconds, nanos };
    assert_eq!(
        said(|c| {
            c.duration(&duration(0, 5)).gt(Span::new(1, 500_000_000));
        }),
        ["x must be greater than 1.500s"]
    );
    assert!(
        said(|c| {
            c.duration(&duration(-1, -5)).lt(Span::new(-1, 0));
        })
        .is_empty()
    );
    let at = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
    let (long_ago, far) = (at(0), at(253_402_300_799));
    assert_eq!(
        said(|c| {
            c.timestamp(&far).lt_now();
        }),
        ["x must not be in the future"]
    );
    assert_eq!(
        said(|c| {
            c.timestamp(&long_ago).gt_now();
        }),
        ["x must not be in the past"]
    );
    assert_eq!(
        said(|c| {
            c.timestamp(&long_ago).within(Span::new(60, 0));
        }),
        ["x must be within 60s of now"]
    );
    assert_eq!(
        said(|c| {
            c.timestamp(&far).equals(Moment::new(0, 0));
        }),
        ["x must be 1970-01-01T00:00:00Z"]
    );
    // What no clock has, and the wire can carry.
    assert_eq!(
        said(|c| {
            c.timestamp(&at(i64::MIN)).within(Span::new(i64::MAX, 0)).gt_now();
        })
        .len(),
        2
    );
}

#[test]
fn enums_are_told_what_they_must_be() {
    struct Color;
    impl Enum for Color {
        const NAME: &'static str = "t.Color";
        const VALUES: &'static [(&'static str, i32)] = &[("COLOR_UNSPECIFIED", 0), ("COLOR_RED", 1)];
    }
    assert_eq!(
        said(|c| {
            c.enumeration::<Color>(&7).defined_only();
        }),
        ["x must be a value of t.Color"]
    );
    assert_eq!(
        said(|c| {
            c.enumeration::<Color>(&0).equals(1);
        }),
        ["x must be COLOR_RED"]
    );
    assert_eq!(
        said(|c| {
            c.enumeration::<Color>(&0).one_of(&[1, 9]);
        }),
        ["x must be COLOR_RED or 9"]
    );
    assert_eq!(
        said(|c| {
            c.enumeration::<Color>(&1).none_of(&[1]);
        }),
        ["x must not be COLOR_RED"]
    );
}

#[test]
fn bytes_are_told_what_they_must_be() {
    let of = |check: for<'a> fn(BytesCheck<'a, 'static>) -> BytesCheck<'a, 'static>| {
        said(|c| {
            check(c.bytes(b"ab"));
        })
        .concat()
    };
    assert_eq!(of(|c| c.equals(b"\xff\"")), r#"x must be "\xff\"""#);
    assert_eq!(of(|c| c.prefix(b"b")), r#"x must start with "b""#);
    assert_eq!(of(|c| c.contains(b"")), "");
    assert_eq!(of(|c| c.contains(b"abc")), r#"x must contain "abc""#);
    assert_eq!(of(|c| c.one_of(&[b"a".as_slice(), b"abc"])), "x must be one of 2 values");
    assert_eq!(of(|c| c.ip()), "x must be the 4 or 16 bytes of an IP address");
    assert_eq!(
        said(|c| {
            c.bytes(b"\xff").pattern(&Pattern::new(".*"));
        }),
        ["x must be UTF-8 and match the pattern `.*`"]
    );
}

#[test]
fn lists_and_maps_name_the_place() {
    assert_eq!(
        said(|c| {
            c.list::<i32>(&[]).min_items(2);
        }),
        ["x must have at least 2 items"]
    );
    assert_eq!(
        said(|c| {
            c.list(&[1.0, 0.0, -0.0]).unique();
        }),
        ["x must not have the same item twice"]
    );
    assert!(
        said(|c| {
            c.list(&[f64::NAN, f64::NAN]).unique();
        })
        .is_empty()
    );
    let each = |c: Check<'_>| {
        c.list(&[1, 7, 9]).each(|c, value| {
            c.scalar(value).lt(5);
        });
    };
    assert_eq!(said(each), ["x[1] must be less than 5", "x[2] must be less than 5"]);
    let map: HashMap<i32, i32> = (-3..3).map(|n| (n, n)).collect();
    let of = |c: Check<'_>| {
        let c = c.map(&map).min_pairs(7).max_pairs(1);
        {
            c.keys(|c, key| {
                c.scalar(key).gte(0);
            })
            .values(|c, value| {
                c.scalar(value).lt(2);
            });
        };
    };
    assert_eq!(
        said(of),
        [
            "x must have at least 7 entries",
            "x must have at most 1 entry",
            "x[-1] the key must be at least 0",
            "x[-2] the key must be at least 0",
            "x[-3] the key must be at least 0",
            "x[2] must be less than 2",
        ]
    );
}

#[test]
fn what_the_caller_chooses_is_kept_short_in_a_path() {
    let map = HashMap::from([("k".repeat(1_000_000), 1)]);
    let found = said(|c| {
        c.map(&map).values(|c, value| {
            c.scalar(value).lt(0);
        });
    });
    assert_eq!(found, [format!("x[\"{}…\"] must be less than 0", "k".repeat(64))]);
}

#[test]
fn a_long_list_is_not_read_to_its_end() {
    let mut read = 0;
    let found = said(|c| {
        {
            c.list(&[0; 100_000]).each(|c, value| {
                read += 1;
                {
                    c.scalar(value).gt(0);
                };
            });
        };
    });
    assert_eq!((found.len(), read), (MAX_VIOLATIONS, MAX_VIOLATIONS + 1));
}
