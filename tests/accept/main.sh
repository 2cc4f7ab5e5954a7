#!/usr/bin/env bash
# What the main job must show: one line, PASS or FAIL, for each point; exit 0 only if all pass.
#
#   tests/accept/main.sh           all points
#   tests/accept/main.sh moves     one point, with all it prints
#
#   SIZE=small|full   full by default; small is what CI runs, for a quick look
#
# What the points print is kept in target/accept/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

size=${SIZE:-full}
case $size in
    small | full) export SLIPWAY_SIZE=$size ;;
    *) echo "SIZE=$size: write small or full" >&2 && exit 2 ;;
esac
# More than any point needs, on two cores with cold caches.
limit=60m
logs=target/accept

# --- The points: a function each, named as in the list at the end. ---

fresh_clone() { tests/accept/fresh-clone.sh; }
moves() { behaviour moves_under_load::; }
big_slot() { behaviour big_slot::; }
empty_slots() { behaviour empty_slots::; }
crashes() {
    behaviour crash::
    behaviour node_down::
    behaviour giving_up::
}
model() { tests_of slipway-cluster model ""; }
clients() { behaviour clients::; }
differential() { behaviour differential::; }
bad_input() { behaviour bad_input::; }
dashboards() { behaviour dashboards::; }

benches() {
    local table peer
    table=$(make --no-print-directory bench SIZE=small | tee -a /dev/stderr)
    for peer in proxy node redis-server; do
        grep -q "$peer" <<<"$table" || { echo "the bench prints no line for $peer" && return 1; }
    done
}

# --- How they are checked. ---

# The integration tests whose names begin with $1.
behaviour() { tests_of slipway-tests integration "$1"; }

# The tests of package $1, target $2, whose names contain $3; that there is none is a failure too.
tests_of() {
    local out
    out=$(cargo test --release -p "$1" --test "$2" -- "$3" --nocapture 2>&1 | tee -a /dev/stderr)
    grep -qE '^test result: ok\. [1-9]' <<<"$out" || { echo "no test of $1 is named ${3:-so}" && return 1; }
}

# The line of a log that says most about why it failed.
why() {
    local line
    line=$(grep -A 1 -m 1 'panicked at' "$1" | tail -n 1 || true)
    [[ -n $line ]] || line=$(grep -m 1 '^error' "$1" || true)
    [[ -n $line ]] || line=$(grep -v '^[[:space:]]*$' "$1" | tail -n 1 || true)
    printf '%s' "${line:0:200}"
}

# Told to end, this script ends the point that runs too, with all it started.
child=
trap '[[ -z $child ]] || kill "$child"; exit 143' HUP INT TERM

failed=0
point() {
    local name=$1 text=$2 log=$logs/$1.log status=0
    : >"$log"
    # In a process of its own, so that a time limit can end it with all it started.
    timeout --kill-after=30s "$limit" "$0" "$name" >>"$log" 2>&1 &
    child=$!
    wait "$child" || status=$?
    child=
    case $status in
        0) printf 'PASS %s\n' "$text" ;;
        124 | 137) printf 'FAIL %s: not done within %s, see %s\n' "$text" "$limit" "$log" ;;
        *) printf 'FAIL %s: %s (see %s)\n' "$text" "$(why "$log")" "$log" ;;
    esac
    [[ $status -eq 0 ]] || failed=$((failed + 1))
}

if [[ $# -gt 0 ]]; then
    "$1"
    exit
fi
mkdir -p "$logs"

point fresh_clone "make run and make test work in a fresh clone"
point moves "all slots move to the other group and back under load: no error, nothing wrong, worst latency within 20 ms of a run without moves"
point big_slot "stall_write is the same with 1 GiB and a hash of a million fields in the slot as with 1 MiB"
point empty_slots "1024 almost empty slots move within 10 s"
point crashes "kill -9 of source, target, controller and proxy at each fail point: nothing acknowledged lost or doubled, each slot whole at one owner, errors only for writes in flight or past node_down_hold"
point model "the model completes, and catches each removed rule"
point clients "redis-py, ioredis, node-redis and redis-benchmark work unmodified, RESP2 and RESP3"
point differential "generated commands: no difference to redis-server but the listed ones, at the node and through the proxy"
point bad_input "bad input gets a clear error: no panic, no hang, no lost data"
point dashboards "Prometheus scrapes, no panel is empty, the alert rules pass their tests"
point benches "the benches print CPU per request of proxy and node beside redis-server"

[[ $failed -eq 0 ]] || exit 1
