//! What must hold for any input.

use kit_template::{Found, Router, Segment, Template};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::model;

/// A template text: segments of a small alphabet, so that random routes and paths meet, with some of them bound.
fn template_text() -> impl Strategy<Value = String> {
    let head = prop::collection::vec(select(vec!["a", "a", "a", "b", "%61", "a%3Av", "*", "*"]), 0..3);
    let rest = prop::option::weighted(0.5, prop::collection::vec(select(vec!["a", "a", "b"]), 0..3));
    let verb = select(vec!["", "", "", "", ":v", ":w", ":v:w", ":%61"]);
    (head, rest, verb, any::<Option<[Index; 2]>>()).prop_map(|(mut segments, rest, verb, bound)| {
        if let Some(tail) = rest {
            segments.push("**");
            segments.extend(tail);
        }
        if segments.is_empty() {
            return "/".to_owned();
        }
        let mut segments: Vec<String> = segments.into_iter().map(str::to_owned).collect();
        if let Some(borders) = bound {
            let borders = borders.map(|border| border.index(segments.len()));
            let (first, last) = (borders[0].min(borders[1]), borders[0].max(borders[1]));
            segments[first].insert_str(0, "{x=");
            segments[last].push('}');
        }
        format!("/{}{verb}", segments.join("/"))
    })
}

fn path() -> impl Strategy<Value = String> {
    let plain = select(vec!["a", "a", "b"]);
    let odd = select(vec!["c", "", "%61", "a:v", "a%3Av", "b:w", ":v", "a:v:w", "%2f", "b:%61"]);
    let segment = prop_oneof![3 => plain, 1 => odd];
    prop::collection::vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// A template whose wildcards are all bound, and a fitting value for each variable.
fn bound_template() -> impl Strategy<Value = (String, Vec<String>)> {
    let part = any::<String>()
        .prop_map(|text| text.replace('/', "%2F"))
        .prop_filter("removed on the way", |text| text != "." && text != "..");
    let filled = part.clone().prop_filter("empty", |text| !text.is_empty());
    let any_text = ".+".prop_filter("removed on the way", |text: &String| text != "." && text != "..");
    let rest = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let fixed = prop_oneof![
        Just((vec!["lit"], None)),
        any_text.prop_map(|value| (vec!["*"], Some(value))),
        filled.clone().prop_map(|value| (vec!["b", "*"], Some(format!("b/{value}")))),
        (filled.clone(), filled).prop_map(|(a, b)| (vec!["*", "c", "*"], Some(format!("{a}/c/{b}")))),
    ];
    let last = prop_oneof![
        Just(None),
        rest.clone().prop_filter("empty", |value| !value.is_empty()).prop_map(|value| Some((vec!["**"], Some(value)))),
        rest.clone().prop_map(|value| Some((vec!["d", "**"], Some(format!("d/{value}"))))),
        rest.prop_map(|value| Some((vec!["**", "e"], Some(format!("{value}/e"))))),
        Just(Some((vec!["**", "e"], Some("e".to_owned())))),
    ];
    let tail = select(vec!["", "/f", "/f/g", ":v", "/f:v:w"]);
    (prop::collection::vec(fixed, 0..3), last, tail).prop_map(|(mut parts, last, tail)| {
        parts.extend(last);
        if parts.is_empty() {
            parts.push((vec!["lit"], None));
        }
        let (mut text, mut values) = (String::new(), Vec::new());
        for (index, (pattern, value)) in parts.into_iter().enumerate() {
            let pattern = pattern.join("/");
            match value {
                Some(value) => {
                    text.push_str(&format!("/{{x{index}.y={pattern}}}"));
                    values.push(value);
                }
                None => text.push_str(&format!("/{pattern}")),
            }
        }
        (text + tail, values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_says_where_it_is_wrong(text in any::<String>()) {
        if let Err(error) = Template::parse(&text) {
            prop_assert!(text.is_char_boundary(error.offset()), "{error}");
        }
    }

    #[test]
    fn nearly_a_template_parses_or_says_where_it_is_wrong(text in "/?([a-z.=*:/{}% é]|\\*\\*|\\{x\\}|%2F){0,12}") {
        match Template::parse(&text) {
            Err(error) => prop_assert!(text.is_char_boundary(error.offset()), "{error}"),
            Ok(template) => {
                prop_assert_eq!(template.to_string(), text);
                for variable in template.variables() {
                    prop_assert!(template.segments().get(variable.range()).is_some_and(|range| !range.is_empty()));
                }
                let rests = template.segments().iter().filter(|segment| **segment == Segment::Rest);
                prop_assert!(rests.count() <= 1);
            }
        }
    }

    #[test]
    fn any_path_is_found_or_not(
        texts in prop::collection::vec(template_text(), 0..8),
        path in prop_oneof![any::<String>(), any::<String>().prop_map(|path| format!("/{path}")), "/([ab:/%]|%61|%ff){0,20}"],
    ) {
        let mut router = Router::new();
        for text in &texts {
            let _ = router.insert("GET", Template::parse(text).unwrap(), ());
        }
        let _ = router.find("GET", &path);
        let _ = router.find("POST", &path);
    }

    #[test]
    fn the_trie_finds_what_the_model_finds(
        texts in prop::collection::vec(template_text(), 0..24),
        paths in prop::collection::vec(path(), 1..12),
    ) {
        let mut router = Router::new();
        let mut templates: Vec<Template> = Vec::new();
        for text in &texts {
            let template = Template::parse(text).unwrap();
            let conflict = templates.iter().find(|known| known.conflicts_with(&template));
            match router.insert("GET", template.clone(), templates.len()) {
                Ok(()) => {
                    prop_assert!(conflict.is_none());
                    templates.push(template);
                }
                Err(error) => prop_assert_eq!(Some(error.existing()), conflict),
            }
        }
        for path in &paths {
            let expected = model::find(&templates, path);
            match (router.find("GET", path), expected) {
                (Found::Match(found), Some(expected)) => {
                    prop_assert_eq!(*found.value, expected.route, "{} in {:?}", path, texts);
                    let values: Vec<_> = found.variables.iter().map(|(_, value)| value.to_string()).collect();
                    prop_assert_eq!(values, expected.variables, "{} by {}", path, found.template);
                    prop_assert_eq!(router.find("PUT", path), Found::MethodNotAllowed(vec!["GET"]));
                }
                (Found::NotFound, None) => prop_assert_eq!(router.find("PUT", path), Found::NotFound),
                (found, expected) => {
                    let expected = expected.map(|hit| templates[hit.route].to_string());
                    prop_assert!(false, "{path} in {texts:?}: {found:?}, not {expected:?}");
                }
            }
        }
    }

    #[test]
    fn a_path_built_from_values_gives_them_back((text, values) in bound_template()) {
        let template = Template::parse(&text).unwrap();
        let mut remaining = values.iter();
        let path = template.expand(|_| remaining.next().cloned());
        let path = path.map_err(|error| TestCaseError::fail(format!("{text} {values:?}: {error}")))?;
        let mut router = Router::new();
        router.insert("GET", template, ()).unwrap();
        let Found::Match(found) = router.find("GET", &path) else {
            return Err(TestCaseError::fail(format!("{path} by {text}")));
        };
        let back: Vec<_> = found.variables.iter().map(|(_, value)| value.to_string()).collect();
        prop_assert_eq!(back, values, "{} by {}", path, text);
    }
}
