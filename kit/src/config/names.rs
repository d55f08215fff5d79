//! Which variable of the environment sets which key.

use std::collections::BTreeMap;

use super::tree::{Node, Value};

/// The keys that can be set by a variable, by its name. More than one key per name means that it is
/// ambiguous.
#[derive(Debug, Default)]
pub(super) struct Names {
    keys: BTreeMap<String, Vec<Vec<String>>>,
    sections: BTreeMap<String, Vec<String>>,
}

impl Names {
    /// Adds the keys of a tree, those of its lists excepted.
    pub(super) fn add(&mut self, prefix: &str, tree: &Node) {
        self.walk(prefix, tree, &mut Vec::new());
    }

    fn walk(&mut self, prefix: &str, node: &Node, path: &mut Vec<String>) {
        let name = env_name(prefix, path);
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                if !path.is_empty() {
                    self.sections.insert(name, path.clone());
                }
                for entry in entries {
                    path.push(entry.key.clone());
                    self.walk(prefix, &entry.node, path);
                    path.pop();
                }
            }
            _ if path.is_empty() => {}
            _ => {
                let keys = self.keys.entry(name).or_default();
                if !keys.contains(path) {
                    keys.push(path.clone());
                }
            }
        }
    }

    /// The keys with this name.
    pub(super) fn keys(&self, name: &str) -> &[Vec<String>] {
        self.keys.get(name).map_or(&[], Vec::as_slice)
    }

    /// The section with this name.
    pub(super) fn section(&self, name: &str) -> Option<&Vec<String>> {
        self.sections.get(name)
    }

    /// Each name that stands for more than one key.
    pub(super) fn ambiguous(&self) -> impl Iterator<Item = (&str, &[Vec<String>])> {
        let several = |(_, keys): &(&String, &Vec<Vec<String>>)| keys.len() > 1;
        self.keys.iter().filter(several).map(|(name, keys)| (name.as_str(), keys.as_slice()))
    }

    /// What to say about a variable that is none of these.
    pub(super) fn explain(&self, prefix: &str, name: &str) -> String {
        if let Some(section) = self.sections.get(name) {
            let section = section.join(".");
            let below = format!("{name}_");
            let example = self.keys.keys().find(|key| key.starts_with(&below)).map_or(&below, |key| key);
            return format!("`{section}` is a section: set its keys one by one, such as {example}");
        }
        // The prefix is common to all, so it must not make short names look alike.
        let rest = name.strip_prefix(prefix).unwrap_or(name);
        let tolerance = (rest.chars().count() / 3).max(2);
        let nearest = self
            .keys
            .iter()
            .map(|(name, keys)| (distance(rest, name.strip_prefix(prefix).unwrap_or(name)), name, keys))
            .min_by_key(|(distance, ..)| *distance)
            .filter(|(distance, ..)| *distance <= tolerance)
            .map(|(_, name, keys)| (name, keys));
        // Sections of the kit stand where the service puts them, mostly one deeper than a page about them says.
        let below = format!("_{}", rest.trim_start_matches('_'));
        match nearest.or_else(|| self.keys.iter().find(|(name, _)| name.ends_with(&below))) {
            Some((name, keys)) => format!("no key has this name; did you mean {name}, for {}?", print(keys)),
            None => "no key has this name".to_owned(),
        }
    }
}

/// Keys as printed in a message: `a.b` and `a_b`.
pub(super) fn print(keys: &[Vec<String>]) -> String {
    let keys: Vec<String> = keys.iter().map(|path| format!("`{}`", path.join("."))).collect();
    keys.join(" and ")
}

/// The name of the variable for a key.
fn env_name(prefix: &str, path: &[String]) -> String {
    let mut name = prefix.to_owned();
    for key in path {
        if !name.is_empty() {
            name.push('_');
        }
        name.extend(key.chars().map(|char| match char {
            char if char.is_ascii_alphanumeric() => char.to_ascii_uppercase(),
            _ => '_',
        }));
    }
    name
}

/// The variables that Kubernetes sets for each service in the namespace; with a service named like
/// the prefix they look like settings of ours.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    let transport = |text: &str| ["TCP", "UDP", "SCTP"].iter().any(|transport| text.starts_with(transport));
    let by_port = |text: &str| {
        let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < text.len() && digits.strip_prefix('_').is_some_and(transport)
    };
    let url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && url)
        || name.match_indices("_PORT_").any(|(at, found)| name.get(at + found.len()..).is_some_and(by_port))
}

/// How many characters have to be changed, added or left out (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    // The distances from the part of `left` seen so far to each beginning of `right`.
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, l) in left.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = before;
        }
        for (cell, r) in cells.zip(right.chars()) {
            let change = diagonal + usize::from(l != r);
            diagonal = *cell;
            before = change.min(*cell + 1).min(before + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, is_service_link};

    #[test]
    fn measures_distance() {
        for (left, right, expected) in
            [("", "", 0), ("", "ab", 2), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn knows_the_variables_of_kubernetes() {
        for (name, value) in [
            ("APP_SERVICE_HOST", "10.0.0.1"),
            ("APP_SERVICE_PORT", "80"),
            ("APP_SERVICE_PORT_HTTP", "80"),
            ("APP_PORT", "tcp://10.0.0.1:80"),
            ("APP_DB_PORT_3306_TCP", "tcp://10.0.0.1:3306"),
            ("APP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ] {
            assert!(is_service_link(name, value), "{name}");
        }
        for (name, value) in [("APP_PORT", "80"), ("APP_PORT_NAME", "x"), ("APP_HOST", "tcp://x"), ("APP_PORT_80", "")]
        {
            assert!(!is_service_link(name, value), "{name}");
        }
    }
}
