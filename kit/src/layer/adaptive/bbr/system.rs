use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::CpuSource;

/// The processors of this system, and the quota of the control group (v2) that the process is in: the busier of the two.
///
/// What others do on the machine is no reason to refuse calls, which would not make it less: when less than half of the work is this
/// process's, only its own counts.
///
/// Each look reads three or four small files of the kernel's, some tens of microseconds.
#[derive(Debug)]
pub struct SystemCpu {
    stat: PathBuf,
    own: PathBuf,
    group: Option<PathBuf>,
    /// Of the system: busy ticks, all ticks. Of the process: ticks.
    ticks: Option<(u64, u64)>,
    own_ticks: Option<u64>,
    /// Of the group, in microseconds.
    used: Option<u64>,
}

impl Default for SystemCpu {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemCpu {
    /// Finds out which control group this process is in.
    pub fn new() -> Self {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(
            Path::new("/proc/stat"),
            Path::new("/proc/self/stat"),
            group_path(Path::new("/sys/fs/cgroup"), &membership),
        )
    }

    fn of(stat: &Path, own: &Path, group: Option<PathBuf>) -> Self {
        Self { stat: stat.to_owned(), own: own.to_owned(), group, ticks: None, own_ticks: None, used: None }
    }

    fn system(&mut self) -> Option<f64> {
        let now = ticks(&fs::read_to_string(&self.stat).ok()?)?;
        let own_now = fs::read_to_string(&self.own).ok().as_deref().and_then(own_ticks);
        let own_before = std::mem::replace(&mut self.own_ticks, own_now);
        let (busy, all) = self.ticks.replace(now)?;
        let all = now.1.checked_sub(all).filter(|all| *all > 0)?;
        let busy = now.0.saturating_sub(busy);
        let counts = match (own_now, own_before) {
            (Some(now), Some(before)) if now.saturating_sub(before) < busy / 2 => now.saturating_sub(before),
            _ => busy,
        };
        Some(counts as f64 / all as f64)
    }

    fn quota(&mut self, passed: Duration) -> Option<f64> {
        let group = self.group.as_ref()?;
        // Both each time: a quota may be changed while the process runs.
        let Some(processors) = quota(&fs::read_to_string(group.join("cpu.max")).ok()?) else {
            self.used = None;
            return None;
        };
        let now = used(&fs::read_to_string(group.join("cpu.stat")).ok()?)?;
        let used = now.checked_sub(self.used.replace(now)?)?;
        let passed = passed.as_micros();
        (passed > 0).then(|| used as f64 / (passed as f64 * processors))
    }
}

impl CpuSource for SystemCpu {
    fn usage(&mut self, passed: Duration) -> Option<f64> {
        match (self.system(), self.quota(passed)) {
            (Some(system), Some(quota)) => Some(system.max(quota)),
            (system, quota) => system.or(quota),
        }
    }
}

/// The folder of the group: its path is told in the line `0::`, and is not there inside of most containers, which see their own
/// group as the root.
fn group_path(root: &Path, membership: &str) -> Option<PathBuf> {
    let path = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    [root.join(path), root.to_owned()].into_iter().find(|path| path.join("cpu.max").exists())
}

/// Busy and all ticks: of the first line of `/proc/stat`, where idle is the fourth number, and waiting for disks the fifth.
/// What guests use is counted in the first two, too.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map_while(|number| number.parse().ok()).collect();
    let [user, nice, system, idle, rest @ ..] = numbers.as_slice() else { return None };
    let waiting = rest.first().copied().unwrap_or(0);
    let busy: u64 = [user, nice, system].into_iter().chain(rest.iter().skip(1)).sum();
    Some((busy, busy + idle + waiting))
}

/// Those of a process and its threads, the 14th and 15th field of its `stat`. The second is the name of the program in brackets, which
/// may have any characters in it.
fn own_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    Some(fields.next()? + fields.next()?)
}

/// How many processors the group may use: `cpu.max` is `quota period`, or `max period` without one.
fn quota(max: &str) -> Option<f64> {
    let mut numbers = max.split_whitespace();
    let quota: f64 = numbers.next()?.parse().ok()?;
    let period: f64 = numbers.next()?.parse().ok()?;
    Some(quota / period).filter(|processors| processors.is_finite() && *processors > 0.0)
}

fn used(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let stat = "cpu  100 10 50 800 40 5 5 30 7 3\ncpu0 1 1 1 1\nintr 5\n";
        assert_eq!(ticks(stat), Some((200, 1040)));
        assert_eq!(ticks("cpu  1 2 3 4\n"), Some((6, 10)));
        for wrong in ["", "cpu  1 2 3\n", "cpu0 1 2 3 4\n", "cpu  a b c d\n"] {
            assert_eq!(ticks(wrong), None, "{wrong}");
        }
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        for wrong in ["max 100000\n", "", "0 100000", "1 0", "100000"] {
            assert_eq!(quota(wrong), None, "{wrong}");
        }
        assert_eq!(used("usage_usec 123\nuser_usec 100\n"), Some(123));
        assert_eq!(used("user_usec 100\n"), None);
    }

    #[test]
    fn the_busier_of_system_and_quota_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (stat, group) = (folder.path().join("stat"), folder.path().join("group"));
        fs::create_dir(&group).unwrap();
        let write = |idle: u64, busy: u64, used: u64| {
            fs::write(&stat, format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n")).unwrap();
            fs::write(group.join("cpu.stat"), format!("usage_usec {used}\n")).unwrap();
        };
        fs::write(group.join("cpu.max"), "50000 100000").unwrap();
        let found = group_path(folder.path(), "1:name=x:/y\n0::/group\n");
        assert_eq!(found.as_deref(), Some(&*group));
        let mut cpu = SystemCpu::of(&stat, &folder.path().join("none"), found);
        write(0, 0, 0);
        assert_eq!(cpu.usage(Duration::ZERO), None, "there is nothing to compare with");
        let second = Duration::from_secs(1);
        write(75, 25, 450_000);
        assert_eq!(cpu.usage(second), Some(0.9));
        write(75, 125, 460_000);
        assert_eq!(cpu.usage(second), Some(1.0));
        // Without a quota the system alone counts.
        fs::write(group.join("cpu.max"), "max 100000").unwrap();
        write(175, 125, 960_000);
        assert_eq!(cpu.usage(second), Some(0.0));
        assert_eq!(group_path(folder.path(), "0::/other\n"), None);
        assert_eq!(group_path(&group, "0::/\n").as_deref(), Some(&*group));
    }

    #[test]
    fn what_others_do_on_the_machine_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let (stat, own) = (folder.path().join("stat"), folder.path().join("own"));
        let write = |idle: u64, busy: u64, ours: u64| {
            fs::write(&stat, format!("cpu  {busy} 0 0 {idle}\n")).unwrap();
            fs::write(&own, format!("7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 {ours} 0 0 0\n")).unwrap();
        };
        let mut cpu = SystemCpu::of(&stat, &own, None);
        let second = Duration::from_secs(1);
        write(0, 0, 0);
        cpu.usage(Duration::ZERO);
        write(0, 100, 10);
        assert_eq!(cpu.usage(second), Some(0.1), "a neighbour takes the rest");
        write(10, 190, 70);
        assert_eq!(cpu.usage(second), Some(0.9), "most of it is ours");
        assert_eq!(own_ticks("7 (x) S 1"), None);
        assert_eq!(own_ticks(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_system_is_known() {
        let mut cpu = SystemCpu::new();
        cpu.usage(Duration::ZERO);
        assert!(cpu.own_ticks.is_some());
        assert!(cpu.ticks.is_some_and(|(busy, all)| busy > 0 && all > busy));
    }
}
