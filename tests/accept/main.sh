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
# shellcheck source=tests/accept/points.sh
source tests/accept/points.sh

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

if [[ $# -gt 0 ]]; then
    "$1"
    exit
fi

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
