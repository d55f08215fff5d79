//! Facts gathered from the test suites of other gateways; `data/transcoding.json` names each source.

use std::collections::BTreeMap;

use kit_template::{Edge, Found, Segment, Template};
use serde_json::Value;

use crate::router;

/// Cases on which gateways disagree and the kit takes the other side, with the reason.
const DIVERGENCES: [(&str, &str); 2] = [
    ("route.095", "http.proto says a `%2F` in a multi-segment variable is left unchanged, so `%2f` keeps its case"),
    ("route.099", "http.proto says `**` matches zero or more segments, so it does so before a verb as well"),
];

fn cases(key: &str) -> Vec<Value> {
    let data: Value = serde_json::from_str(include_str!("../data/transcoding.json")).unwrap();
    data[key].as_array().unwrap().clone()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// The set's notation: -1 is the end of the path.
fn edge(edge: Edge) -> i64 {
    match edge {
        Edge::Front(before) => i64::try_from(before).unwrap(),
        Edge::Back(behind) => -1 - i64::try_from(behind).unwrap(),
    }
}

/// Says what differs from the case, if anything does.
fn check_template(case: &Value) -> Result<(), String> {
    let parsed = Template::parse(text(case, "template"));
    if !case["valid"].as_bool().unwrap() {
        return parsed.map_or(Ok(()), |_| Err("was accepted".to_owned()));
    }
    let template = parsed.map_err(|error| error.to_string())?;
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => text.as_str(),
        Segment::Any => "*",
        Segment::Rest => "**",
    });
    let segments = Value::from(segments.collect::<Vec<_>>());
    let variables = template
        .variables()
        .iter()
        .map(|variable| (variable.to_string(), Value::from(vec![edge(variable.start()), edge(variable.end())])));
    let variables = Value::Object(variables.collect());
    let verb = template.verb().unwrap_or_default();
    if segments != case["segments"] || variables != case["vars"] || verb != text(case, "verb") {
        return Err(format!("{segments} {variables} {verb:?}"));
    }
    if template.to_string() != text(case, "template") {
        return Err(format!("prints as {template}"));
    }
    Ok(())
}

fn check_route(case: &Value) -> Result<(), String> {
    let pair = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned());
    let routes: Vec<_> = case["routes"].as_array().unwrap().iter().map(pair).collect();
    let router = router(&routes.iter().map(|(method, text)| (method.as_str(), text.as_str())).collect::<Vec<_>>());
    let (method, path) = pair(&case["request"]);
    let found = router.find(&method, &path);

    let is_bad_path = matches!(found, Found::BadPath(_));
    if is_bad_path != (case["http_status"] == 400) {
        return Err(format!("{found:?}"));
    }
    let (value, variables) = match &found {
        Found::Match(found) => {
            let variables = found.variables.iter().map(|(variable, value)| (variable.to_string(), value.to_string()));
            (Value::from(*found.value), variables.collect())
        }
        _ => (Value::Null, BTreeMap::new()),
    };
    let expected: BTreeMap<String, String> = serde_json::from_value(case["vars"].clone()).unwrap();
    if value != case["match"] || variables != expected {
        return Err(format!("{found:?}"));
    }
    Ok(())
}

fn check_all(key: &str, expected_count: usize, check: impl Fn(&Value) -> Result<(), String>) {
    let cases = cases(key);
    assert_eq!(cases.len(), expected_count, "{key}");
    for case in &cases {
        let id = text(case, "id");
        let divergence = DIVERGENCES.iter().find(|(other, _)| *other == id);
        match (check(case), divergence) {
            (Ok(()), None) => {}
            (Err(difference), None) => panic!("{id}: {difference}\n{case}"),
            (Ok(()), Some((_, reason))) => {
                panic!("{id} holds after all; remove it from the list ({reason})")
            }
            (Err(_), Some(_)) => assert!(case.get("dialect").is_some(), "{id} leaves no choice"),
        }
    }
}

#[test]
fn templates_parse_as_elsewhere() {
    check_all("template_parse", 57, check_template);
}

#[test]
fn requests_route_as_elsewhere() {
    check_all("routing", 49, check_route);
}

#[test]
fn the_divergences_are_what_their_reasons_say() {
    let case = |id: &str| cases("routing").into_iter().find(|case| text(case, "id") == id).unwrap();

    let kept = router(&[("GET", "/foo/bar/*/{thing.id}/{cat=**}")]);
    let path = case("route.095")["request"][1].as_str().unwrap().to_owned();
    let (_, variables) = crate::matched(&kept, "GET", &path);
    assert_eq!(variables[1], ("cat".to_owned(), "*/%2f".to_owned()));

    let zero = router(&[("GET", "/trailing/**:slash")]);
    let path = case("route.099")["request"][1].as_str().unwrap().to_owned();
    assert_eq!(crate::matched(&zero, "GET", &path).0, "/trailing/**:slash");
}
