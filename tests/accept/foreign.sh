#!/usr/bin/env bash
# What our proxy must show in front of Pika and codis-server, by their doubles: one line, PASS or FAIL, for each point; exit 0 only if all pass.
#
#   tests/accept/foreign.sh          all points
#   tests/accept/foreign.sh moves    one point, with all it prints
#
#   SIZE=small|full   full by default; small is what CI runs, for a quick look
#   PIKA CODIS_DASHBOARD CODIS_ADMIN …   the real programs, for tests/by-hand/pika.sh; without them its points are not checked, and it is said
#
# What the points print is kept in target/accept/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/accept/points.sh
source tests/accept/points.sh

# --- The points: a function each, named as in the list at the end. ---

doubles() { tests_of slipway-doubles real ""; }
moves() {
    behaviour foreign::moves::semi_async
    behaviour foreign::moves::sync
    behaviour foreign::moves::a_slot_that_takes_longer
}
fleets() {
    behaviour foreign::moves::moves_behind_two_proxies
    behaviour foreign::troubles::
}
untracked() { behaviour foreign::untracked::; }
refusals() { behaviour foreign::refusals::; }
codis_server() { behaviour foreign::codis_server::; }
own() { behaviour foreign::own::; }
upgrade() { behaviour foreign::upgrade::; }
back() { behaviour foreign::back::; }
real_programs() { tests/by-hand/pika.sh; }

if [[ $# -gt 0 ]]; then
    "$1"
    exit
fi

point doubles "the doubles answer as real Pika 4.0.1 and codis-server, faults included"
point moves "Pika's slots move under load on exactly those slots, semi-async and sync, 1 and 8 senders: no error, no damaged key, no stall"
point fleets "load on two proxies at once, the dashboard killed while slots move, a password, nodes that restart"
point untracked "what Pika's slot index does not know of is not lost, written before the move or during it"
point refusals "a stream in a slot: its move is refused with the key's name, its clients notice nothing, the other slots move"
point codis_server "codis-server: E1 and E2 give the right results, slots with a big sorted set move under load without an error"
point own "slipway migrate without a dashboard: Pika to Pika and to our node under load, the controller and proxies killed on the way"
point upgrade "Pika and codis-server to our node under load: every key equal"
point back "Pika and codis-server to our node and home again, and our node there and home: under load, every key equal; what cannot go is refused by name"
if [[ -n ${PIKA:-} && -n ${CODIS_DASHBOARD:-} && -n ${CODIS_ADMIN:-} ]]; then
    point real_programs "real Pika under the real dashboard: no error, no damaged key, p99.9 within 20 ms, no wait over 200 ms"
else
    echo "NOT CHECKED: real Pika (PIKA, CODIS_DASHBOARD and CODIS_ADMIN are not set)"
fi

[[ $failed -eq 0 ]] || exit 1
