//! Samples as a gzipped pprof file.

use std::{
    collections::HashMap,
    hash::Hash,
    io::{self, Write as _},
    time::SystemTime,
};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;

use super::{
    format::{self, Profile},
    samples::{Samples, Unit},
    symbols::{Line, Location},
};

/// The file as `go tool pprof` reads it.
pub(super) fn encode(samples: &Samples) -> io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&profile(samples).encode_to_vec())?;
    gzip.finish()
}

fn profile(samples: &Samples) -> Profile {
    let mut tables = Tables::default();
    let mut profile = Profile {
        sample_type: samples.units.iter().map(|unit| tables.unit(*unit)).collect(),
        period_type: Some(tables.unit(samples.period.0)),
        period: samples.period.1,
        time_nanos: nanos(samples.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
        duration_nanos: nanos(samples.length),
        comment: vec![tables.text(&samples.comment)],
        default_sample_type: tables.text(samples.default),
        ..Profile::default()
    };
    for (index, mapping) in samples.mappings.iter().enumerate() {
        profile.mapping.push(format::Mapping {
            id: index as u64 + 1,
            memory_start: mapping.start,
            memory_limit: mapping.end,
            file_offset: mapping.offset,
            filename: tables.text(&mapping.file),
            build_id: tables.text(&mapping.build_id),
            // All that can be known is here: nobody needs to look for the program's file.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
    }
    let thread = tables.text("thread");
    for (stack, values) in &samples.stacks {
        profile.sample.push(format::Sample {
            location_id: stack.locations.iter().map(|location| tables.location(location, samples)).collect(),
            value: values.clone(),
            label: stack.thread.iter().map(|name| format::Label { key: thread, text: tables.text(name) }).collect(),
        });
    }
    profile.location = tables.location_messages;
    profile.function = tables.function_messages;
    profile.string_table = tables.text_messages;
    profile
}

fn nanos(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// What is written once and referred to by number; number 0 is none, and the empty text.
struct Tables<'s> {
    texts: HashMap<&'s str, u64>,
    text_messages: Vec<String>,
    locations: HashMap<&'s Location, u64>,
    location_messages: Vec<format::Location>,
    functions: HashMap<(&'s str, &'s str), u64>,
    function_messages: Vec<format::Function>,
}

impl Default for Tables<'_> {
    fn default() -> Self {
        Self {
            texts: HashMap::from([("", 0)]),
            text_messages: vec![String::new()],
            locations: HashMap::new(),
            location_messages: Vec::new(),
            functions: HashMap::new(),
            function_messages: Vec::new(),
        }
    }
}

/// The number of a thing, and whether it is new; the first has number 1.
fn number<K: Hash + Eq>(known: &mut HashMap<K, u64>, key: K, next: usize) -> (u64, bool) {
    let next = next as u64;
    let number = *known.entry(key).or_insert(next);
    (number, number == next)
}

impl<'s> Tables<'s> {
    fn text(&mut self, text: &'s str) -> i64 {
        let (number, new) = number(&mut self.texts, text, self.text_messages.len());
        if new {
            self.text_messages.push(text.to_owned());
        }
        i64::try_from(number).unwrap_or_default()
    }

    fn unit(&mut self, unit: Unit) -> format::ValueType {
        format::ValueType { kind: self.text(unit.kind), unit: self.text(unit.unit) }
    }

    fn location(&mut self, location: &'s Location, samples: &'s Samples) -> u64 {
        let (id, new) = number(&mut self.locations, location, self.location_messages.len() + 1);
        if new {
            let line = location.lines.iter().map(|line| self.line(line)).collect();
            let mapping_id = samples.mappings.index_of(location.address).map_or(0, |index| index as u64 + 1);
            self.location_messages.push(format::Location { id, mapping_id, address: location.address, line });
        }
        id
    }

    fn line(&mut self, line: &'s Line) -> format::Line {
        let key = (&*line.function, &*line.file);
        let (function_id, new) = number(&mut self.functions, key, self.function_messages.len() + 1);
        if new {
            let (name, filename) = (self.text(key.0), self.text(key.1));
            self.function_messages.push(format::Function { id: function_id, name, filename });
        }
        format::Line { function_id, line: line.line.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{
        super::samples::{
            Stack,
            tests::{location, samples},
        },
        *,
    };

    #[test]
    fn writes_each_thing_once_and_refers_to_it() {
        let mut samples = samples();
        let main = location(2, &["main"]);
        for leaf in [location(1, &["inlined", "work"]), location(3, &["work"])] {
            samples.add(Stack { locations: vec![leaf, main.clone()], thread: Some("worker".to_owned()) }, &[1, 10]);
        }
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(&*encode(&samples).unwrap()).read_to_end(&mut read).unwrap();
        let profile = Profile::decode(&*read).unwrap();
        let text = |index: i64| profile.string_table[usize::try_from(index).unwrap()].as_str();

        assert_eq!(text(0), "");
        assert_eq!(profile.sample_type.iter().map(|kind| text(kind.kind)).collect::<Vec<_>>(), ["samples", "cpu"]);
        assert_eq!((text(profile.default_sample_type), text(profile.comment[0])), ("cpu", "why"));
        assert_eq!((profile.period, profile.duration_nanos), (10_000_000, 2_000_000_000));
        assert_eq!((profile.location.len(), profile.function.len(), profile.sample.len()), (3, 3, 2));
        let mut stacks: Vec<Vec<&str>> = Vec::new();
        for sample in &profile.sample {
            assert_eq!((text(sample.label[0].text), &*sample.value), ("worker", &[1, 10][..]));
            let lines = sample.location_id.iter().flat_map(|id| {
                let location = profile.location.iter().find(|location| location.id == *id).unwrap();
                location.line.iter()
            });
            let name = |line: &format::Line| {
                text(profile.function.iter().find(|function| function.id == line.function_id).unwrap().name)
            };
            stacks.push(lines.map(name).collect());
        }
        stacks.sort();
        assert_eq!(stacks, [vec!["inlined", "work", "main"], vec!["work", "main"]]);
    }
}
