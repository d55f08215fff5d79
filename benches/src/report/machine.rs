use std::{fs, path::Path, process::Command};

/// The machine and the versions of what was measured.
pub(super) fn rows() -> Vec<(String, String)> {
    let mut rows = vec![
        ("machine", format!("{}, {} cores{}", processor(), cores(), memory())),
        ("system", format!("Linux {}", read("/proc/sys/kernel/osrelease"))),
        ("placement", "server on core 0, driver on core 1, over loopback, no TLS".to_owned()),
        ("rustc", said("rustc", &["--version"])),
    ];
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = ["tokio", "hyper", "h2", "tonic", "axum", "prost", "mimalloc", "tikv-jemallocator"];
    rows.push(("crates", versions(&here.join("../Cargo.lock"), &ours)));
    rows.push(("volo-grpc", versions(&here.join("peers/volo/Cargo.lock"), &["volo-grpc", "pilota", "hyper"])));
    rows.push(("connectrpc", versions(&here.join("peers/connectrpc/Cargo.lock"), &["connectrpc", "buffa", "hyper"])));
    rows.push(("go", said("go", &["version"])));
    let packages =
        ["golang-github-go-kit-kit-dev", "golang-google-grpc-dev", "golang-github-grpc-ecosystem-grpc-gateway-dev"];
    let debian: Vec<_> = packages
        .iter()
        .map(|package| format!("{package} {}", said("dpkg-query", &["-W", "-f=${Version}", package])))
        .collect();
    rows.push(("Debian's packages", debian.join(", ")));
    rows.into_iter().map(|(what, which)| (what.to_owned(), which)).collect()
}

/// The machine in a few words, for the picture.
pub(super) fn short() -> String {
    format!("{}, {} cores, Linux {}; server on one core, driver on the other", processor(), cores(), kernel())
}

/// `2026-11-21`.
pub(super) fn day(seconds: u64) -> String {
    // Days since 1970 in the civil calendar, counted in years that begin in March, as leap days are at their end then.
    let days = i64::try_from(seconds / 86_400).unwrap_or_default() + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + next)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or("unknown processor").to_owned()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    kilobytes.map(|kilobytes: u64| format!(", {} GiB", kilobytes.div_ceil(1 << 20))).unwrap_or_default()
}

fn kernel() -> String {
    read("/proc/sys/kernel/osrelease").split('-').next().unwrap_or_default().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "not installed".to_owned(),
    }
}

/// `tonic 0.14.9, axum 0.8.9`, as far as the lock file has them.
fn versions(lock: &Path, crates: &[&str]) -> String {
    let text = fs::read_to_string(lock).unwrap_or_default();
    let version = |name: &str| {
        let after = text.split(&format!("name = \"{name}\"\nversion = \"")).nth(1)?;
        Some(format!("{name} {}", after.split('"').next()?))
    };
    let found: Vec<_> = crates.iter().filter_map(|name| version(name)).collect();
    if found.is_empty() { "not locked".to_owned() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(951_782_400), "2000-02-29");
        assert_eq!(day(1_795_305_599), "2026-11-21");
    }

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        assert!(versions(&lock, &["tonic"]).starts_with("tonic 0."), "{}", versions(&lock, &["tonic"]));
        assert_eq!(versions(&lock, &["no-such-crate"]), "not locked");
    }
}
