//! What is read from the program's file itself: the id that the linker gave it, and the names of its functions.
//!
//! Line tables name a function without its path, `{closure#0}`, so the full names come from the table of symbols.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

const PT_LOAD: u64 = 1;
const PT_NOTE: u64 = 4;
const SHT_SYMTAB: u64 = 2;
const STT_FUNC: u64 = 2;

/// The most bytes of headers or notes that are looked at.
const MAX_HEADERS: u64 = 64 * 1024;

/// The most bytes of symbols or of their names; a large program has some dozen megabytes of them.
const MAX_SYMBOLS: u64 = 1024 * 1024 * 1024;

/// A file of 64-bit little-endian ELF.
#[derive(Debug)]
pub(super) struct Elf {
    file: File,
    header: Vec<u8>,
}

impl Elf {
    pub(super) fn open(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let header = part(&mut file, 0, 64, MAX_HEADERS)?;
        header.starts_with(b"\x7fELF\x02\x01").then_some(Self { file, header })
    }

    /// The id that the linker gave it.
    pub(super) fn build_id(&mut self) -> Option<String> {
        self.segments()?
            .into_iter()
            .filter(|segment| segment.kind == PT_NOTE)
            .find_map(|segment| gnu_build_id(&part(&mut self.file, segment.offset, segment.size, MAX_HEADERS)?))
    }

    /// The functions it has names for; none when it was stripped.
    pub(super) fn functions(&mut self) -> Option<Functions> {
        let segments = self.segments()?;
        let sections = self.table(40, 58, 60)?;
        let table = sections.iter().find(|section| number(section, 4, 4) == Some(SHT_SYMTAB))?;
        let names = sections.get(usize::try_from(number(table, 40, 4)?).ok()?)?;
        let mut content =
            |section: &[u8]| part(&mut self.file, number(section, 24, 8)?, number(section, 32, 8)?, MAX_SYMBOLS);
        let (symbols, names) = (content(table)?, content(names)?);
        let function = |symbol: &[u8]| {
            let (start, size) = (number(symbol, 8, 8)?, number(symbol, 16, 8)?);
            let is_function = number(symbol, 4, 1)? & 0xf == STT_FUNC && size > 0;
            is_function.then_some(Function { start, end: start.checked_add(size)?, name: number(symbol, 0, 4)? })
        };
        let mut functions: Vec<Function> = symbols.chunks_exact(24).filter_map(function).collect();
        functions.sort_unstable_by_key(|function| function.start);
        Some(Functions { segments, functions, names })
    }

    fn segments(&mut self) -> Option<Vec<Segment>> {
        let segment = |header: &Vec<u8>| {
            Some(Segment {
                kind: number(header, 0, 4)?,
                offset: number(header, 8, 8)?,
                address: number(header, 16, 8)?,
                size: number(header, 32, 8)?,
            })
        };
        self.table(32, 54, 56)?.iter().map(segment).collect()
    }

    /// The entries of a table of headers, of which the header of the file has offset, entry size and count at these places.
    fn table(&mut self, offset: usize, size: usize, count: usize) -> Option<Vec<Vec<u8>>> {
        let header = &self.header;
        let (offset, size, count) = (number(header, offset, 8)?, number(header, size, 2)?, number(header, count, 2)?);
        let table = part(&mut self.file, offset, size.checked_mul(count)?, MAX_SYMBOLS)?;
        let size = usize::try_from(size).ok().filter(|size| *size >= 56)?;
        Some(table.chunks_exact(size).map(<[u8]>::to_vec).collect())
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    end: u64,
    name: u64,
}

/// Functions by their addresses.
#[derive(Debug)]
pub(super) struct Functions {
    segments: Vec<Segment>,
    functions: Vec<Function>,
    names: Vec<u8>,
}

impl Functions {
    /// The name, as the linker knows it, of the function at an offset of the file.
    pub(super) fn at(&self, offset: u64) -> Option<&[u8]> {
        let within = |segment: &&Segment| {
            segment.kind == PT_LOAD && offset.checked_sub(segment.offset).is_some_and(|into| into < segment.size)
        };
        let segment = self.segments.iter().find(within)?;
        let address = (offset - segment.offset).checked_add(segment.address)?;
        let next = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions.get(next.checked_sub(1)?).filter(|function| address < function.end)?;
        let name = self.names.get(usize::try_from(function.name).ok()?..)?;
        name.split(|byte| *byte == 0).next().filter(|name| !name.is_empty())
    }
}

fn gnu_build_id(mut notes: &[u8]) -> Option<String> {
    const NT_GNU_BUILD_ID: u64 = 3;
    loop {
        let name = usize::try_from(number(notes, 0, 4)?).ok()?;
        let description = usize::try_from(number(notes, 4, 4)?).ok()?;
        let kind = number(notes, 8, 4)?;
        let rest = notes.get(12..)?;
        let padded = name.checked_next_multiple_of(4)?;
        if kind == NT_GNU_BUILD_ID && rest.get(..name)? == b"GNU\0" {
            let id = rest.get(padded..padded.checked_add(description)?)?;
            return Some(id.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = rest.get(padded.checked_add(description.checked_next_multiple_of(4)?)?..)?;
    }
}

fn part(file: &mut File, at: u64, length: u64, most: u64) -> Option<Vec<u8>> {
    // A broken header may claim what is not there.
    if length > most || at.checked_add(length)? > file.metadata().ok()?.len() {
        return None;
    }
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at.checked_add(length)?)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn finds_the_build_id_among_notes() {
        let mut notes = Vec::new();
        for (name, kind, description) in [(&b"abc\0"[..], 1u32, &b"12345"[..]), (b"GNU\0", 3, b"\x01\xab")] {
            notes.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            notes.extend(u32::try_from(description.len()).unwrap().to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(name);
            notes.extend(description);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(gnu_build_id(&notes).as_deref(), Some("01ab"));
        for end in 0..notes.len() - 3 {
            assert_eq!(gnu_build_id(&notes[..end]), None, "{end}");
        }
    }

    #[test]
    fn reads_the_functions_of_this_program() {
        let mut elf = Elf::open(&std::env::current_exe().unwrap()).unwrap();
        let functions = elf.functions().unwrap();
        let start = functions.segments.iter().find(|segment| segment.kind == PT_LOAD).unwrap();
        assert!(functions.at(u64::MAX).is_none() && functions.at(start.offset).is_none());
        assert!(functions.functions.len() > 1000);
    }

    #[test]
    fn what_is_no_program_has_none() {
        let file = std::env::temp_dir().join(format!("kit-elf-{}", std::process::id()));
        let mut header = vec![0xff; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for content in [&b"text"[..], &header] {
            std::fs::write(&file, content).unwrap();
            let elf = Elf::open(&file);
            assert!(elf.is_none_or(|mut elf| elf.build_id().is_none() && elf.functions().is_none()));
        }
        std::fs::remove_file(&file).unwrap();
    }
}
