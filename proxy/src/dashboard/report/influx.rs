//! InfluxDB's line protocol, version 1.x: one point. Pure.

use super::super::coordinator::percent;
use super::{Number, Told};

/// Where a point of this database is posted.
pub(super) fn path(database: &str) -> String {
    format!("/write?db={}&precision=ns", percent(database.as_bytes()))
}

/// One line: measurement, tags by name, fields, nanoseconds since 1970.
pub(super) fn point(told: &Told, unix_ns: u128) -> String {
    let model = &told.model;
    let tags = [
        ("admin_addr", &model.admin_addr),
        ("hostname", &model.hostname),
        ("product_name", &model.product_name),
        ("proxy_addr", &model.proxy_addr),
        ("token", &model.token),
    ];
    let mut line = "codis_usage".to_owned();
    // A tag without a value is not allowed.
    for (name, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        line.push_str(&format!(",{name}={}", escaped(value)));
    }
    for (at, (name, value)) in told.fields.iter().enumerate() {
        line.push(if at == 0 { ' ' } else { ',' });
        match value {
            Number::Int(value) => line.push_str(&format!("{name}={value}i")),
            Number::Float(value) => line.push_str(&format!("{name}={value}")),
        }
    }
    line.push_str(&format!(" {unix_ns}\n"));
    line
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ',' | '=' | ' ' => text.extend(['\\', c]),
            // A line break would begin another point.
            c if c.is_control() => text.push('_'),
            c => text.push(c),
        }
    }
    text
}
