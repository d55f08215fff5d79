//! What jemalloc is asked and told. The only unsafe code of heap profiles.

#![allow(unsafe_code, reason = "jemalloc is a C library")]

use std::{ffi::CString, io, os::unix::ffi::OsStrExt as _, path::Path};

use tikv_jemalloc_ctl::raw;

/// Settings of jemalloc that are true or false, as C strings.
#[derive(Clone, Copy)]
pub(super) struct Switch(&'static [u8]);

/// Whether jemalloc was started with heap profiles.
pub(super) const PROF: Switch = Switch(b"opt.prof\0");
/// Whether it takes samples now.
pub(super) const ACTIVE: Switch = Switch(b"prof.active\0");
/// Whether it counts what was freed too.
pub(super) const ACCUMULATE: Switch = Switch(b"opt.prof_accum\0");

const C_CONFIGURATION: &[u8; super::CONFIGURATION.len() + 1] = &{
    let mut text = [0; super::CONFIGURATION.len() + 1];
    let (filled, _) = text.split_at_mut(super::CONFIGURATION.len());
    filled.copy_from_slice(super::CONFIGURATION.as_bytes());
    text
};

/// Where jemalloc looks for its configuration when the process starts.
// SAFETY: jemalloc declares this as a weak `const char *`: the type is a thin pointer to bytes that end with a NUL.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the name is jemalloc's")]
static malloc_conf: &[u8; super::CONFIGURATION.len() + 1] = C_CONFIGURATION;

/// Whether a setting is on; off also when jemalloc does not know it.
pub(super) fn is_on(switch: Switch) -> bool {
    // SAFETY: the names end with a NUL, and all of them are `bool` in jemalloc's manual.
    unsafe { raw::read(switch.0) }.unwrap_or_default()
}

/// Writes the samples to a file.
pub(super) fn dump(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `prof.dump` takes a `const char *`, which lives until the call is over; jemalloc does not keep it.
    unsafe { raw::write(b"prof.dump\0", path.as_ptr()) }.map_err(|error| io::Error::other(error.to_string()))
}
