//! Which format a scraper wants.

use super::Format;

/// The format with the highest quality; of equal ones the first that is named, and what is named before what `*` allows.
pub(super) fn format(accept: &str) -> Format {
    let mut best = (0.0, false, Format::Text);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters =
            || parts.clone().filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), value));
        let value = |name: &str| {
            let found = parameters().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let quality = match value("q").map(str::parse::<f32>) {
            None => 1.0,
            Some(Ok(quality)) if (0.0..=1.0).contains(&quality) => quality,
            Some(_) => 0.0,
        };
        let is = |name: &str, wanted: &[&str]| value(name).is_none_or(|value| wanted.contains(&value));
        let (named, format) = match media_type.as_str() {
            "application/openmetrics-text" if is("version", &["1.0.0", "0.0.1"]) => (true, Format::OpenMetrics),
            "application/vnd.google.protobuf"
                if is("proto", &["io.prometheus.client.MetricFamily"]) && is("encoding", &["delimited"]) =>
            {
                (true, Format::Protobuf)
            }
            "text/plain" if is("version", &["0.0.4"]) => (true, Format::Text),
            "*/*" | "text/*" => (false, Format::Text),
            _ => continue,
        };
        let (most, best_is_named, _) = best;
        if quality > most || (quality == most && quality > 0.0 && named && !best_is_named) {
            best = (quality, named, format);
        }
    }
    best.2
}

#[cfg(test)]
mod tests {
    use super::{Format::*, format};

    #[test]
    fn the_best_format_wins() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        // What Prometheus 2.42 sends, without and with native histograms, and what Prometheus 3 sends.
        let two = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                   text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                     text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(format(two), OpenMetrics);
        assert_eq!(format(three), OpenMetrics);
        assert_eq!(format(&format!("{protobuf},{two}")), Protobuf);
        assert_eq!(format(&format!("{two},{protobuf};q=0.9")), OpenMetrics);
        for (accept, expected) in [
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.9", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=-1", Text),
            ("application/openmetrics-text;q=NaN", Text),
            ("application/openmetrics-text;q=9", Text),
            ("*/*, application/openmetrics-text", OpenMetrics),
            ("text/plain, application/openmetrics-text", Text),
            ("application/openmetrics-text, text/plain", OpenMetrics),
            ("application/vnd.google.protobuf;encoding=text", Text),
            ("image/png", Text),
            (";;;,,,=;q=,", Text),
        ] {
            assert_eq!(format(accept), expected, "{accept}");
        }
    }
}
