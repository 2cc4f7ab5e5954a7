//! StatsD's gauges, several to a packet. Pure.

use super::{Number, Told};

/// What fits into one frame of Ethernet; as codis-proxy's library has it.
const PACKET_BYTES_MAX: usize = 1440;

/// The gauges of a proxy, as packets to send. An empty prefix leaves its dot, as with codis-proxy.
pub(super) fn packets(prefix: &str, told: &Told) -> Vec<String> {
    let flat = |address: &str| address.replace(['.', ':'], "_");
    let model = &told.model;
    let stem = format!(
        "{prefix}.{}.{}.{}",
        model.product_name,
        flat(&model.admin_addr),
        flat(&model.proxy_addr)
    );
    let mut packets: Vec<String> = Vec::new();
    for (name, value) in told.fields {
        let mut gauge = String::new();
        let mut put = |value: String| {
            if !gauge.is_empty() {
                gauge.push('\n');
            }
            gauge.push_str(&format!("{stem}.{name}:{value}|g"));
        };
        match value {
            // A sign means a change of the gauge: from zero it is the value.
            Number::Int(value) if value < 0 => {
                put("0".to_owned());
                put(value.to_string());
            }
            Number::Int(value) => put(value.to_string()),
            Number::Float(value) => put(value.to_string()),
        }
        match packets.last_mut() {
            Some(last) if last.len() + 1 + gauge.len() <= PACKET_BYTES_MAX => {
                last.push('\n');
                last.push_str(&gauge);
            }
            _ => packets.push(gauge),
        }
    }
    packets
}
