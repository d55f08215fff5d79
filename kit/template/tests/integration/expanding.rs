//! Building paths, and what must not become one.

use crate::template;

fn expand(text: &str, value: &str) -> Result<String, String> {
    template(text).expand(|_| Some(value.to_owned())).map_err(|error| error.to_string())
}

#[test]
fn values_are_escaped_by_the_kind_of_variable() {
    assert_eq!(expand("/v1/{x}:go", "a/b:c d%é").unwrap(), "/v1/a%2Fb%3Ac%20d%25%C3%A9:go");
    assert_eq!(expand("/v1/{x=**}/z", "a/b:c//d").unwrap(), "/v1/a/b%3Ac//d/z");
    assert_eq!(expand("/v1/{x=a/*/**}", "a/%2F").unwrap(), "/v1/a/%252F");
    assert_eq!(expand("/caf%C3%A9:a:%2F", "").unwrap(), "/caf%C3%A9:a:%2F");
    assert_eq!(expand("/", "").unwrap(), "/");
}

#[test]
fn an_escaped_slash_of_a_literal_survives() {
    assert_eq!(expand("/{x=a%2Fb}", "a/b").unwrap(), "/a%2Fb");
    assert_eq!(expand("/{x=a%2Fb/*}", "a%2fb/c").unwrap(), "/a%2Fb/c");
}

#[test]
fn a_value_that_does_not_fit_is_named() {
    let cases = [
        ("/{x.y}", "", "path variable `x.y` is empty"),
        ("/{x=**}", "", "is empty"),
        ("/{x=shelves/*}", "x/1", "does not fit `shelves/*`"),
        ("/{x=shelves/*}", "shelves", "does not fit"),
        ("/{x=shelves/*}", "shelves/", "does not fit"),
        ("/{x=shelves/*}", "shelves/1/2", "does not fit"),
        ("/{x=a/**/b}", "a/c", "does not fit `a/**/b`"),
        ("/{x=a/**/b}", "a", "does not fit"),
        ("/{x=a}", "b", "does not fit"),
        ("/{x}", "..", "removed on the way"),
        ("/{x=**}", "a/./b", "removed on the way"),
        ("/a/*/{x}", "b", "wildcard outside of any variable"),
    ];
    for (text, value, part) in cases {
        let error = expand(text, value).expect_err(text);
        assert!(error.contains(part), "{text} {value:?}: {error}");
    }
    assert_eq!(expand("/{x=a/**/b}", "a/b").unwrap(), "/a/b");
}

#[test]
fn a_missing_value_is_named() {
    let error = template("/{a}/{b.c}").expand(|name| (name == "a").then(|| "1".to_owned())).unwrap_err();
    assert_eq!(error.variable(), Some("b.c"));
    assert_eq!(error.to_string(), "path variable `b.c` has no value: set the field");
}
