use super::*;
use prometheus::TextEncoder;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn what_is_written_is_asked_for_anew_each_time() {
    let (registry, count) = (Registry::new(), Arc::new(AtomicU64::new(0)));
    let its = Arc::clone(&count);
    register(&registry, &[], move |page| {
        page.counter("a_total", "How many.", ["kind"]).put(["x"], its.load(Relaxed)).put(["y"], 0);
    })
    .unwrap();
    count.store(3, Relaxed);
    assert_eq!(
        text(&registry),
        "# HELP a_total How many.\n# TYPE a_total counter\na_total{kind=\"x\"} 3\na_total{kind=\"y\"} 0\n"
    );
}

#[test]
fn pages_of_one_kind_stand_beside_each_other() {
    let registry = Registry::new();
    let write = |page: &mut Page| {
        page.label("group", "7");
        page.gauge("b_bytes", "How much.", []).put_real([], 0.5);
    };
    for node in ["one", "two"] {
        register(&registry, &[("node", node)], write).unwrap();
    }
    let text = text(&registry);
    for line in
        ["b_bytes{node=\"one\",group=\"7\"} 0.5\n", "b_bytes{node=\"two\",group=\"7\"} 0.5\n"]
    {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(text.matches("# TYPE").count(), 1, "{text}");
    register(&registry, &[("node", "one")], write).unwrap_err();
    // Also when the other has no series yet.
    register(&registry, &[("node", "three")], |page| {
        page.label("group", "");
        let _none = page.gauge("b_bytes", "How much.", []);
    })
    .unwrap();
}

#[test]
fn buckets_are_added_up_and_what_is_above_all_counts_too() {
    let registry = Registry::new();
    register(&registry, &[], |page| {
        page.histogram(("c_seconds", "How long."), [], &[0.1, 0.2]).put([], [2, 1, 4], 9.5);
    })
    .unwrap();
    let text = text(&registry);
    for line in ["{le=\"0.1\"} 2", "{le=\"0.2\"} 3", "{le=\"+Inf\"} 7", "_sum 9.5", "_count 7"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
