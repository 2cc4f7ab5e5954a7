#!/usr/bin/env bash
# What a proxy and nodes of ours must show in the places of codis-proxy and codis-server: one line, PASS or FAIL, for each point; exit 0 only
# if all pass.
#
#   tests/accept/codis.sh           all points
#   tests/accept/codis.sh moves     one point, with all it prints
#
#   SIZE=small|full   full by default; small is what CI runs, for a quick look
#   CODIS_DASHBOARD CODIS_ADMIN …   the real programs, for tests/by-hand/codis.sh; without them its points are not checked, and it is said
#
# What the points print is kept in target/accept/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/accept/points.sh
source tests/accept/points.sh

# --- The points: a function each, named as in the list at the end. ---

routes() {
    behaviour codis::routes::
    unit_tests_of slipway-codis config::
}
operations() { behaviour codis::operations::; }
moves() { behaviour codis::moves::; }
fleets() { behaviour codis::troubles::; }
hostile_clients() { behaviour codis::hostile::twenty; }
bad_input() { behaviour codis::hostile::hostile_calls; }
handshakes() { behaviour codis::handshakes::; }
check_and_adopt() { behaviour codis::adopt::; }
real_programs() { tests/by-hand/codis.sh; }

if [[ $# -gt 0 ]]; then
    "$1"
    exit
fi

point routes "each route of the admin API answers as codis-proxy's, vectors included; both lines' configurations load"
point operations "create-proxy, online-proxy, fills, slot actions of all kinds, rebalance, assign, remove, reinit, resync, polls, shutdown"
point moves "slots to group 2 and back under load, sync and semi-async, the dashboard killed at each step: no error, no wrong value, no red row"
point fleets "a dead proxy, a stale one, a slot assigned by force, storms of fills, fills of nonsense: as the design's table"
point hostile_clients "20 hostile clients: no other client sees an error or a stall"
point bad_input "broken JSON, null slots, 100 MB, wrong xauth, slow loris: clear errors, routes untouched"
point handshakes "what client libraries say first, and that they can go on"
point check_and_adopt "slipway check finds what is wrong; slipway adopt and the way back, under load"
if [[ -n ${CODIS_DASHBOARD:-} && -n ${CODIS_ADMIN:-} ]]; then
    point real_programs "the real dashboard, admin, console, watchdog and an old codis-proxy around our proxy and nodes"
else
    echo "NOT CHECKED: the real programs of Codis (CODIS_DASHBOARD and CODIS_ADMIN are not set)"
fi

[[ $failed -eq 0 ]] || exit 1
