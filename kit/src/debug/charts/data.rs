//! The figures as JSON, in columns. Written by hand: a page that is opened takes some hundred thousand numbers.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    history::{Columns, side},
    ring::POINTS,
};
use crate::{debug::stack::side_name, telemetry::metrics::Side};

const COLUMNS: [&str; super::history::OF_METHOD] = ["calls", "errors", "active", "p50", "p90", "p99"];

/// What a page asks for and is told beside the figures.
pub(in crate::debug) struct About {
    /// Which start of the process it is: the numbers of moments begin anew.
    pub(in crate::debug) boot: String,
    /// Seconds since the start of the process and since 1970, now.
    pub(in crate::debug) uptime: f64,
    pub(in crate::debug) now: f64,
    /// What layers say of their state now.
    pub(in crate::debug) states: Value,
}

/// Writes the values of some moments. A long history takes some dozen milliseconds: not for a thread that others wait for.
pub(in crate::debug) fn write(columns: &Columns, about: &About) -> String {
    let points = columns.times.len();
    let mut json = String::with_capacity(512 + points * (8 + columns.methods.len() * 24));
    let (boot, seq, from) = (Value::from(about.boot.as_str()), columns.last, columns.first);
    // Writing to a string does not fail.
    let _ = write!(json, r#"{{"boot":{boot},"seq":{seq},"from":{from},"points":{POINTS},"step":1"#);
    let _ = write!(json, r#","uptime":{:.3},"now":{:.3}"#, about.uptime, about.now);
    json.push_str(r#","t":["#);
    for time in &columns.times {
        let _ = write!(json, "{time:.3},");
    }
    end(&mut json);
    json.push_str(r#","methods":["#);
    for (key, values) in &columns.methods {
        let (_, service, method) = key;
        let (service, method) = (Value::from(service.as_ref()), Value::from(method.as_ref()));
        let side: Side = side(key);
        let _ = write!(json, r#"{{"side":"{}","service":{service},"method":{method}"#, side_name(side));
        for (name, values) in COLUMNS.iter().zip(values) {
            let _ = write!(json, r#","{name}":["#);
            column(&mut json, values);
        }
        json.push_str("},");
    }
    end(&mut json);
    json.push_str(r#","panels":["#);
    for (title, unit, lines) in &columns.panels {
        let (title, unit) = (Value::from(title.as_ref()), unit.name());
        let _ = write!(json, r#"{{"title":{title},"unit":"{unit}","lines":["#);
        for (name, values) in lines {
            let _ = write!(json, r#"{{"name":{},"values":["#, Value::from(*name));
            column(&mut json, values);
            json.push_str("},");
        }
        end(&mut json);
        json.push_str("},");
    }
    end(&mut json);
    let _ = write!(json, r#","left_out":{},"states":{}}}"#, columns.left_out, about.states);
    json
}

fn column(json: &mut String, values: &[f32]) {
    for value in values {
        number(json, *value);
        json.push(',');
    }
    end(json);
}

/// Ends a list whose last member may have a comma behind it.
fn end(json: &mut String) {
    if json.ends_with(',') {
        json.pop();
    }
    json.push(']');
}

/// Four digits are more than a screen shows.
fn number(json: &mut String, value: f32) {
    if !value.is_finite() {
        json.push_str("null");
        return;
    }
    // At least one digit before the point, at most four in all where there are some behind it.
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = usize::try_from(3 - magnitude).unwrap_or_default().min(9);
    let start = json.len();
    let _ = write!(json, "{value:.decimals$}");
    if decimals > 0 {
        let written = json.get(start..).unwrap_or_default();
        let short = written.trim_end_matches('0').trim_end_matches('.').len();
        json.truncate(start + short);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::debug::charts::{History, MethodSample, Unit};

    fn text(value: f32) -> String {
        let mut text = String::new();
        number(&mut text, value);
        text
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.000_123_456, "0.0001235"),
            (12.345_678, "12.35"),
            (9999.6, "10000"),
            (123_456_790.0, "123456792"),
            (1e-30, "0"),
            (100.0, "100"),
            (f32::NAN, "null"),
            (f32::INFINITY, "null"),
        ] {
            assert_eq!(text(value), expected, "{value}");
        }
    }

    fn history() -> History {
        let panels = vec![("Memory".into(), Unit::Bytes, vec!["resident"]), ("None".into(), Unit::Count, vec![])];
        let mut history = History::new(panels);
        let sample = MethodSample {
            side: Side::Client,
            service: "a\"b".into(),
            method: "Buy".into(),
            calls: 3,
            errors: 1,
            in_flight: 2,
            quantiles: [Some(0.25), None, Some(1.5)],
        };
        history.record(1.0, 1.0, std::slice::from_ref(&sample), &[1024.0]);
        history.record(2.0, 1.0, &[MethodSample { calls: 13, ..sample }], &[f64::NAN]);
        history
    }

    fn read(since: u64) -> Value {
        let about = About { boot: "b".to_owned(), uptime: 2.5, now: 1e9, states: json!([]) };
        serde_json::from_str(&write(&history().since(since), &about)).unwrap()
    }

    #[test]
    fn figures_are_columns() {
        let expected = json!({
            "boot": "b", "seq": 2, "from": 1, "points": 900, "step": 1, "uptime": 2.5, "now": 1e9, "t": [1.0, 2.0],
            "methods": [{
                "side": "client", "service": "a\"b", "method": "Buy",
                "calls": [3, 10], "errors": [1, 0], "active": [2, 2],
                "p50": [0.25, 0.25], "p90": [null, null], "p99": [1.5, 1.5],
            }],
            "panels": [{ "title": "Memory", "unit": "bytes", "lines": [{ "name": "resident", "values": [1024, null] }] }],
            "left_out": 0, "states": [],
        });
        assert_eq!(read(0), expected);
    }

    #[test]
    fn only_what_is_new_is_sent() {
        let later = read(1);
        assert_eq!((&later["from"], &later["t"]), (&json!(2), &json!([2.0])));
        assert_eq!(later["methods"][0]["calls"], json!([10]));
        let nothing = read(2);
        assert_eq!(
            (&nothing["from"], &nothing["t"], &nothing["methods"][0]["calls"]),
            (&json!(3), &json!([]), &json!([]))
        );
    }
}
