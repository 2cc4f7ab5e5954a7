#!/usr/bin/env bash
# What proxy and node must show beside their peers: one line, PASS or FAIL, for each pass line and each point; exit 0 only if all pass.
#
#   tests/accept/performance.sh          all of it
#   tests/accept/performance.sh bench    one point, with all it prints
#
#   SIZE=small|full      full by default, half a second for each measurement; small is 300 ms, for a quick look
#   MINUTES=45           no case of the bench begins after so many minutes (small: 20)
#   READ=bench.json      an earlier run of the bench, instead of a new one
#   PREDIXY NUTCRACKER CODIS_PROXY PIKA …   the peers (docs/BENCH.md); who is not found is not compared with, and it is said
#
# What the points print is kept in target/accept/, the bench's numbers in target/accept/performance/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/accept/points.sh
source tests/accept/points.sh

numbers=${READ:-target/accept/performance/bench.json}

# --- The points: a function each, named as in the list at the end. ---

bench() {
    local millis=500 minutes=${MINUTES:-45}
    if [[ $size == small ]]; then
        millis=300 minutes=${MINUTES:-20}
    fi
    # Every pass line is in the short list of cases.
    make --no-print-directory bench SIZE=small ARGS="--millis $millis --minutes $minutes --second-look 25 --out $(dirname "$numbers")"
}
moves() { behaviour moves_under_load::; }
correct() {
    # Whatever the performance: what is small in CI is enough here.
    make --no-print-directory test SIZE=small
}
no_unsafe() {
    local found
    grep -qx 'unsafe_code = "forbid"' Cargo.toml || { echo "Cargo.toml does not forbid it" && return 1; }
    for found in */Cargo.toml; do
        grep -qx 'workspace = true' <<<"$(grep -A 1 '^\[lints\]' "$found")" || { echo "$found does not take the workspace's lints" && return 1; }
    done
}
real_pika() { tests/by-hand/pika.sh; }

if [[ $# -gt 0 ]]; then
    "$1"
    exit
fi

if [[ -z ${READ:-} ]]; then
    rm -f "$numbers"
    point bench "the bench runs to its end"
fi
# The bench's own lines, one for each pass line.
lines=$logs/pass-lines.log
if [[ ! -f $numbers ]]; then
    echo "FAIL the pass lines: there is no $numbers"
    failed=$((failed + 1))
elif cargo run --quiet --release -p slipway-benches --bin bench -- --read "$numbers" >"$lines" && grep -q '^PASS\|^FAIL' "$lines"; then
    cat "$lines"
    failed=$((failed + $(grep -c '^FAIL' "$lines" || true)))
else
    echo "FAIL the pass lines: $numbers cannot be read (see $lines)"
    failed=$((failed + 1))
fi
point moves "all slots move under writes: no client error, no damaged key, a client's worst latency within 20 ms of a run without moves"
if [[ -n ${PIKA:-} && -n ${CODIS_DASHBOARD:-} && -n ${CODIS_ADMIN:-} ]]; then
    point real_pika "p99.9 within 20 ms while real Pika's slots move behind us"
else
    echo "NOT CHECKED p99.9 while real Pika's slots move behind us (PIKA, CODIS_DASHBOARD and CODIS_ADMIN are not set)"
fi
point correct "every correctness test is green"
point no_unsafe "no unsafe code of ours: the compiler forbids it in every crate"

[[ $failed -eq 0 ]] || exit 1
