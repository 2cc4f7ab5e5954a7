//! What the process uses, from the system's `/proc/self`. Where there is none, everything is zero.

use codis::model::RusageRaw;
use std::fs;

/// Times stand in hundredths of a second in `/proc/self/stat`, on every machine Linux runs on.
const TICK_NS: i64 = 10_000_000;

/// What it uses now.
pub(super) fn read() -> RusageRaw {
    let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    parse(&text("stat"), &text("status"))
}

fn parse(stat: &str, status: &str) -> RusageRaw {
    // The program's name stands in brackets, and may have any in it.
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<i64> = behind_name.split(' ').map(|n| n.trim().parse().unwrap_or(0)).collect();
    // Fields as proc(5) counts them; what is left begins with the third.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let of_status = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok()).unwrap_or(0)
    };
    RusageRaw {
        utime: field(14) * TICK_NS,
        stime: field(15) * TICK_NS,
        cutime: field(16) * TICK_NS,
        cstime: field(17) * TICK_NS,
        num_threads: of_status("Threads"),
        vm_size: of_status("VmSize") << 10,
        vm_rss: of_status("VmRSS") << 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_lines_are_read() {
        let stat =
            "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 120 30 4 5 20 0 9 0 100 912261120 18000 1\n";
        let status = "Name:\ta) b\nVmSize:\t  890880 kB\nVmRSS:\t   71680 kB\nThreads:\t9\n";
        let want = RusageRaw {
            utime: 1_200_000_000,
            stime: 300_000_000,
            cutime: 40_000_000,
            cstime: 50_000_000,
            num_threads: 9,
            vm_size: 912_261_120,
            vm_rss: 73_400_320,
        };
        assert_eq!(parse(stat, status), want);
        assert_eq!(parse("", ""), RusageRaw::default());
        let now = read();
        assert!(now.vm_rss > 0 && now.num_threads > 0, "{now:?}");
    }
}
