use super::*;

/// A file of version 2 with one kind of time and a rule for ever.
fn file(rule: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.extend(b"TZif2");
        bytes.extend([0; 15]);
        for count in [0u32, 0, 0, 0, 1, 4] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend(3600i32.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(b"OLD\0");
    }
    bytes.extend(format!("\n{rule}\n").as_bytes());
    bytes
}

fn told(zone: &Zone, unix_s: i64) -> (i32, String) {
    let offset = zone.at(unix_s);
    (offset.seconds, offset.name)
}

#[test]
fn a_rule_says_when_the_clocks_change() {
    let berlin = Zone::read(&file("CET-1CEST,M3.5.0,M10.5.0/3")).unwrap();
    // 2026-03-29 and 2026-10-25, 01:00 UTC.
    for (unix_s, want) in [
        (1_774_745_999, (3600, "CET")),
        (1_774_746_000, (7200, "CEST")),
        (1_792_889_999, (7200, "CEST")),
        (1_792_890_000, (3600, "CET")),
    ] {
        assert_eq!(told(&berlin, unix_s), (want.0, want.1.to_owned()), "{unix_s}");
    }
    // Midsummer in Sydney is in January.
    let sydney = Zone::read(&file("AEST-10AEDT,M10.1.0,M4.1.0/3")).unwrap();
    assert_eq!(told(&sydney, 1_767_225_600).0, 39_600);
    assert_eq!(told(&sydney, 1_782_864_000).0, 36_000);
    let tehran = Zone::read(&file("<+0330>-3:30")).unwrap();
    assert_eq!(told(&tehran, 0), (12_600, "+0330".to_owned()));
    let julian = Zone::read(&file("A0B,J60/0,300/0")).unwrap();
    assert_eq!(told(&julian, 1_772_323_200).1, "B", "2026-03-01 is day 60");
    assert_eq!(told(&julian, 1_772_323_199).1, "A");
}

#[test]
fn without_a_rule_the_last_change_holds() {
    let zone = Zone::read(&file("")).unwrap();
    assert_eq!(told(&zone, 1_800_000_000), (3600, "OLD".to_owned()));
    let changed = Zone {
        changes: vec![(100, 1)],
        offsets: vec![zone.at(0), Offset { seconds: 7200, name: "NEW".to_owned() }],
        rule: None,
    };
    assert_eq!((told(&changed, 99).0, told(&changed, 100).0), (3600, 7200));
}

#[test]
fn the_systems_own_files_are_read() {
    let Ok(bytes) = std::fs::read("/usr/share/zoneinfo/Asia/Shanghai") else { return };
    let shanghai = Zone::read(&bytes).unwrap();
    assert_eq!(told(&shanghai, 1_541_390_400), (28_800, "CST".to_owned()));
    let date = shanghai.date(1_541_390_400);
    assert_eq!((date.year, date.month, date.day, date.hour), (2018, 11, 5, 12));
    // Shanghai had a summer time once.
    assert_eq!(told(&shanghai, 646_000_000), (32_400, "CDT".to_owned()));
}

#[test]
fn a_broken_file_is_none() {
    let whole = file("CET-1CEST,M3.5.0,M10.5.0/3");
    for end in [0, 3, 20, 43, 50, 60, 100] {
        assert_eq!(Zone::read(&whole[..end]), None, "{end}");
    }
    let mut huge = whole.clone();
    huge[32..36].copy_from_slice(&[0xff; 4]);
    assert_eq!(Zone::read(&huge), None);
    // A rule that makes no sense is none.
    for rule in ["CET", "CET-1CEST", "CET-1CEST,M13.1.0,M1.1.0", "1"] {
        let zone = Zone::read(&file(rule)).unwrap();
        assert_eq!(zone.rule, None, "{rule}");
    }
}

#[test]
fn days_are_counted_right() {
    for (day, want) in
        [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (20_514, (2026, 3, 2)), (-1, (1969, 12, 31))]
    {
        assert_eq!(civil(day), want);
        assert_eq!(first_of(want.0, i64::from(want.1)) + i64::from(want.2) - 1, day);
    }
}
