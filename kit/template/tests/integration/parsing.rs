//! What the conformance set leaves open: messages, offsets, and this crate's own choices.

use kit_template::{Edge, Segment, Template};

use crate::template;

fn mistake(text: &str) -> (usize, String) {
    let error = Template::parse(text).expect_err(text);
    (error.offset(), error.message().to_owned())
}

#[test]
fn a_mistake_is_named_where_it_stands() {
    let cases = [
        ("", 0, "starts with `/`"),
        ("a/b", 0, "starts with `/`"),
        ("/a/", 2, "does not end with `/`"),
        ("//", 1, "is empty"),
        ("/a//b", 3, "is empty"),
        ("/a/:v", 3, "is empty"),
        ("/:v", 1, "is empty"),
        ("/a:", 3, "verb is missing"),
        ("/a::v", 3, "verb is missing"),
        ("/a:v:", 5, "verb is missing"),
        ("/a:v/b", 4, "stands at the end"),
        ("/a:v*", 4, "plain text"),
        ("/a:{v}", 3, "verb is missing"),
        ("/a*", 2, "takes a whole segment"),
        ("/***", 1, "takes a whole segment"),
        ("/a{x}", 2, "takes a whole segment"),
        ("/{x}a", 4, "takes a whole segment"),
        ("/a}", 2, "closes no variable"),
        ("/a/{x", 3, "close it with `}`"),
        ("/{x=", 4, "segment is missing"),
        ("/{x=}", 4, "segment is missing"),
        ("/{x=a/}", 6, "segment is missing"),
        ("/{x=/a}", 4, "is empty"),
        ("/a/}", 3, "segment is missing"),
        ("/{x={y}}", 4, "inside of another"),
        ("/{x=a/{y}}", 6, "inside of another"),
        ("/{x=a{y}}", 5, "inside of another"),
        ("/{x=a:v}", 5, "close the variable first"),
        ("/{}", 2, "field name is missing"),
        ("/{x.}", 4, "field name is missing"),
        ("/{1}", 2, "field name is missing"),
        ("/{x-y}", 3, "goes on with"),
        ("/{x }", 3, "goes on with"),
        ("/{a}/{a}", 5, "`a` is bound twice"),
        ("/{a.b}/x/{a.b=*}", 9, "`a.b` is bound twice"),
        ("/a/**/*", 6, "only literals can follow"),
        ("/a/**/{x}", 6, "only literals can follow"),
        ("/a/{x=**/**}", 9, "only literals can follow"),
        ("/a b", 2, "write `%20`"),
        ("/a\tb", 2, "write `%09`"),
        ("/grö", 3, "write `%C3%B6`"),
        ("/a?b", 2, "write `%3F`"),
        ("/a:b#", 4, "write `%23`"),
        ("/a%2", 2, "two hexadecimal digits"),
        ("/a:b%zz", 4, "two hexadecimal digits"),
        ("/%ff", 1, "not UTF-8"),
    ];
    for (text, offset, part) in cases {
        let (at, message) = mistake(text);
        assert_eq!(at, offset, "{text}: {message}");
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn the_root_has_no_segments() {
    let root = template("/");
    assert!(root.segments().is_empty() && root.variables().is_empty() && root.verb().is_none());
}

#[test]
fn literals_and_verbs_are_decoded_and_the_source_is_kept() {
    let parsed: Template = "/a%2Fb=c@d/x:caf%C3%A9:drop".parse().unwrap();
    assert_eq!(parsed.segments()[0], Segment::Literal("a/b=c@d".to_owned()));
    assert_eq!(parsed.verb(), Some("café:drop"));
    assert_eq!(parsed.to_string(), "/a%2Fb=c@d/x:caf%C3%A9:drop");
}

#[test]
fn a_variable_behind_the_rest_is_counted_from_the_back() {
    let parsed = template("/a/**/{x=b/c}/d");
    let variable = &parsed.variables()[0];
    assert_eq!((variable.start(), variable.end()), (Edge::Back(3), Edge::Back(1)));
    assert_eq!((variable.start().index(7), variable.end().index(7)), (4, 6));
    assert_eq!((Edge::Front(9).index(2), Edge::Back(9).index(2)), (2, 0));
}

#[test]
fn only_patterns_that_can_hold_a_slash_are_multi_segment() {
    let multi = |text| template(text).variables()[0].is_multi_segment();
    assert!(!multi("/{x}") && !multi("/{x=*}") && !multi("/{x=a}"));
    assert!(multi("/{x=**}") && multi("/{x=a/*}") && multi("/{x=a/b}"));
}

#[test]
fn templates_conflict_when_only_names_and_spelling_differ() {
    let conflict = |a, b| template(a).conflicts_with(&template(b));
    assert!(conflict("/v1/{x}", "/v1/*"));
    assert!(conflict("/v1/{x=a/*}", "/v1/a/{y}"));
    assert!(conflict("/%61/{x=**}:v", "/a/**:%76"));
    assert!(!conflict("/v1/{x}", "/v1/{x=**}"));
    assert!(!conflict("/v1/{x}", "/v1/{x}:v"));
    assert!(!conflict("/v1/a:b", "/v1/a%3Ab"));
}

#[test]
fn a_template_deeper_than_the_limit_is_refused() {
    assert!(Template::parse(&"/a".repeat(128)).is_ok());
    assert_eq!(mistake(&"/a".repeat(129)).0, 257);
}
