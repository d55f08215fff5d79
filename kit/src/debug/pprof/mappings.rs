//! What is mapped where in this process: `go tool pprof` wants to know, and unknown functions are named after their file.

use std::{path::Path, sync::OnceLock};

use super::elf::{Elf, Functions};

/// A part of a file that is mapped to be run.
#[derive(Debug, Default)]
pub(in crate::debug) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) file: String,
    pub(super) build_id: String,
    is_program: bool,
    functions: OnceLock<Option<Functions>>,
}

impl Mapping {
    fn elf(&self) -> Option<Elf> {
        // The program that runs, also when another stands at its path by now.
        Elf::open(Path::new(if self.is_program { PROGRAM } else { &self.file }))
    }
}

/// The file of the program that runs, also when it was replaced or removed.
const PROGRAM: &str = "/proc/self/exe";

/// What the kernel writes behind the path of a file that is not there any more.
const DELETED: &str = " (deleted)";

/// All of them.
#[derive(Debug, Default)]
pub(in crate::debug) struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Reads them from the kernel; none where there is no `/proc`. Blocks.
    pub(in crate::debug) fn of_this_process() -> Self {
        let program = std::fs::read_link(PROGRAM).unwrap_or_default();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut mappings = Self::parse(&maps, &program.to_string_lossy());
        for mapping in &mut mappings.0 {
            mapping.build_id = mapping.elf().and_then(|mut elf| elf.build_id()).unwrap_or_default();
        }
        mappings
    }

    /// Reads what the kernel says, of a program at this path.
    fn parse(maps: &str, program: &str) -> Self {
        let line = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            let (permissions, rest) = rest.split_once(' ')?;
            let (offset, rest) = rest.split_once(' ')?;
            // The device and the inode stand before the file, whose name may have spaces.
            let file = rest.splitn(3, ' ').nth(2)?.trim_start();
            let (start, end) = range.split_once('-')?;
            let hex = |text| u64::from_str_radix(text, 16).ok();
            (permissions.contains('x') && file.starts_with(['/', '['])).then_some(Mapping {
                start: hex(start)?,
                end: hex(end)?,
                offset: hex(offset)?,
                file: file.strip_suffix(DELETED).unwrap_or(file).to_owned(),
                // The two paths come from the kernel, with the same end.
                is_program: file == program,
                ..Mapping::default()
            })
        };
        let mut mappings: Vec<_> = maps.lines().filter_map(line).collect();
        // The main program comes first, by the convention of the format.
        mappings.sort_by_key(|mapping| !mapping.is_program);
        Self(mappings)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// Which of them an address is in.
    pub(super) fn index_of(&self, address: u64) -> Option<usize> {
        self.0.iter().position(|mapping| (mapping.start..mapping.end).contains(&address))
    }

    /// The name of the function at an address, as the linker knows it. Blocks: the first look-up reads the file.
    pub(super) fn function_at(&self, address: u64) -> Option<&[u8]> {
        let mapping = self.0.get(self.index_of(address)?)?;
        let functions = mapping.functions.get_or_init(|| mapping.elf()?.functions()).as_ref()?;
        functions.at((address - mapping.start).checked_add(mapping.offset)?)
    }

    /// What a function without a name is called: the file it is in.
    pub(super) fn name_of(&self, address: u64) -> String {
        match self.index_of(address).and_then(|index| self.0.get(index)) {
            Some(mapping) => {
                let name = mapping.file.rsplit('/').next().unwrap_or_default();
                format!("[{}]", name.trim_matches(['[', ']']))
            }
            None => "[unknown]".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_can_be_run() {
        let maps = "\
55a0-55b0 r--p 00000000 08:01 12 /srv/my app
55b0-55f0 r-xp 00001000 08:01 12 /srv/my app
7f00-7f10 rw-p 00000000 00:00 0 
7f10-7f20 r-xp 00000000 00:00 0 
7ffe-7fff r-xp 00000000 00:00 0                          [vdso]
nonsense
";
        let mappings = Mappings::parse(maps, "/srv/my app");
        let files: Vec<_> = mappings.iter().map(|mapping| (mapping.start, mapping.offset, &*mapping.file)).collect();
        assert_eq!(files, [(0x55b0, 0x1000, "/srv/my app"), (0x7ffe, 0, "[vdso]")]);
        assert_eq!(mappings.name_of(0x55ef), "[my app]");
        assert_eq!(mappings.name_of(0x7ffe), "[vdso]");
        assert_eq!(mappings.name_of(0x55f0), "[unknown]");
    }

    /// An upgrade renames a new file over the one that runs.
    #[test]
    fn a_program_that_was_replaced_on_disk_is_still_known() {
        let maps = "\
7f10-7f20 r-xp 00000000 08:01 13 /lib/libold.so (deleted)
55b0-55f0 r-xp 00001000 08:01 12 /srv/app (deleted)
";
        let mappings = Mappings::parse(maps, "/srv/app (deleted)");
        let files: Vec<_> = mappings.iter().map(|mapping| (&*mapping.file, mapping.is_program)).collect();
        assert_eq!(files, [("/srv/app", true), ("/lib/libold.so", false)]);
        assert_eq!(mappings.name_of(0x55b0), "[app]");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_the_first_of_its_mappings() {
        let mappings = Mappings::of_this_process();
        let program = std::env::current_exe().unwrap();
        assert_eq!(mappings.iter().next().unwrap().file, program.to_string_lossy());
        let name = mappings.function_at(Mappings::of_this_process as *const () as u64).unwrap();
        assert!(String::from_utf8_lossy(name).contains("of_this_process"));
    }
}
