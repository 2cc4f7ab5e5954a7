#!/usr/bin/env bash
# The real programs of Codis around our proxy and our nodes, by hand: one line, PASS or FAIL, for each check; exit 0 only if all pass.
#
#   CODIS_DASHBOARD=… CODIS_ADMIN=… CODIS_FE=… CODIS_HA=… OLD_CODIS_PROXY=… tests/by-hand/codis.sh [SCENARIO…]
#
#   CODIS_DASHBOARD CODIS_ADMIN   must be given; what else is not given is not checked. All of one line, upstream's or the fork's
#   SLIPWAY_BIN                   target/release/slipway by default
#   COORDINATOR                   filesystem by default; etcd or zookeeper, if they are installed
#   SLOTS RATE                    how many slots move (1024), under how many requests a second (2000)
#   HA_SECONDS                    how long codis-ha runs beside it (30)
#   KEEP=1                        keep the directory of data and logs
#
# Scenarios: api (all routes by admin and console, one proxy of ours, no load), clients (the libraries of tests/clients through a proxy of ours),
# and WHO-METHOD: who is ours, old or both (the proxies in front of our nodes), and method is sync or semi-async: all slots to group 2 and back
# under checked load, the dashboard killed in between.
# By default all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${CODIS_DASHBOARD:?the path of a codis-dashboard}" "${CODIS_ADMIN:?the path of a codis-admin}"
CODIS_FE=${CODIS_FE:-} CODIS_HA=${CODIS_HA:-} OLD_CODIS_PROXY=${OLD_CODIS_PROXY:-}
SLIPWAY_BIN=${SLIPWAY_BIN:-$PWD/target/release/slipway}
COORDINATOR=${COORDINATOR:-filesystem} SLOTS=${SLOTS:-1024} RATE=${RATE:-2000} HA_SECONDS=${HA_SECONDS:-30}
product=by-hand

# shellcheck source=tests/by-hand/words.sh
source tests/by-hand/words.sh

# --- A product: two groups of one node of ours, a dashboard, some proxies. ---

coordinator() {
    case $COORDINATOR in
        filesystem) place=$dir/rootfs && mkdir -p "$place" ;;
        etcd)
            port && place=$addr && port
            start etcd etcd --data-dir "$dir/etcd" --enable-v2 --listen-client-urls "http://$place" \
                --advertise-client-urls "http://$place" --listen-peer-urls "http://$addr"
            within 20 curl -sf "http://$place/version" -o /dev/null
            ;;
        zookeeper)
            port && place=$addr
            mkdir -p "$dir/zookeeper"
            printf 'tickTime=2000\ndataDir=%s\nclientPort=%s\nadmin.enableServer=false\n' "$dir/zookeeper" "${addr#*:}" >"$dir/zoo.cfg"
            start zookeeper java -cp "/usr/share/java/*:/etc/zookeeper/conf" \
                org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/zoo.cfg"
            within 20 eval "(exec 3<>/dev/tcp/127.0.0.1/${addr#*:}) 2>/dev/null"
            ;;
    esac
}

node() {
    port && local listen=$addr
    port
    printf 'data = "%s"\nlisten = "%s"\nadmin = "%s"\n' "$dir/$1" "$listen" "$addr" >"$dir/$1.toml"
    start "$1" "$SLIPWAY_BIN" node --config "$dir/$1.toml"
    nodes+=("$listen")
}

start_dashboard() {
    start dashboard "$CODIS_DASHBOARD" --config="$dir/dashboard.toml"
    within 20 eval 'says .model.token'
}

# proxy NAME KIND
proxy() {
    port && local listen=$addr
    port
    printf 'product_name = "%s"\nproto_type = "tcp4"\nproxy_addr = "%s"\nadmin_addr = "%s"\n' "$product" "$listen" "$addr" >"$dir/$1.toml"
    # A proxy of either kind registers where jodis clients look for it.
    [[ $COORDINATOR == filesystem ]] || printf 'jodis_name = "%s"\njodis_addr = "%s"\njodis_timeout = "20s"\n' "$COORDINATOR" "$place" >>"$dir/$1.toml"
    case $2 in
        ours) start "$1" "$SLIPWAY_BIN" proxy --config "$dir/$1.toml" --dashboard "$dashboard" --pidfile "$dir/$1.pid" ;;
        old)
            # The fork's reorders a client's commands by itself where some take the "quick" connections: not what is asked here.
            printf 'quick_cmd_list = ""\nslow_cmd_list = ""\nbackend_primary_quick = 0\n' >>"$dir/$1.toml"
            start "$1" "$OLD_CODIS_PROXY" --config="$dir/$1.toml" --dashboard="$dashboard"
            ;;
    esac
    proxies+=("$listen")
    proxy_admins+=("$addr")
}

# product METHOD KIND…: kinds of proxies.
product() {
    local method=$1 kind i=0
    shift
    dir=$root/$scenario nodes=() proxies=() proxy_admins=()
    mkdir -p "$dir"
    coordinator
    port && dashboard=$addr
    "$CODIS_DASHBOARD" --default-config | sed -e '/^coordinator_/d' -e '/^product_name/d' -e '/^admin_addr/d' -e '/^migration_method/d' >"$dir/dashboard.toml"
    printf 'coordinator_name = "%s"\ncoordinator_addr = "%s"\nproduct_name = "%s"\nadmin_addr = "%s"\nmigration_method = "%s"\n' \
        "$COORDINATOR" "$place" "$product" "$dashboard" "$method" >>"$dir/dashboard.toml"
    node node1 && node node2
    check "the dashboard starts on its coordinator, $COORDINATOR" start_dashboard
    check "the dashboard takes our nodes into groups" groups
    for kind in "$@"; do
        i=$((i + 1))
        proxy "proxy$i" "$kind"
    done
    check "all proxies are online" within 30 says \
        "[.stats.proxy.stats[] | select(.stats.online)] | length == $#"
    [[ $COORDINATOR == filesystem ]] || check "all are where jodis clients look" within 30 registered "$#"
}

# As many proxies as said are registered for jodis.
registered() {
    case $COORDINATOR in
        etcd) curl -sf "http://$place/v2/keys/jodis/$product" | jq -e "[.node.nodes[].value | fromjson | select(.state == \"online\")] | length == $1" ;;
        zookeeper) [[ $(zookeeper_cli ls "/jodis/$product" | grep -o 'proxy-[0-9a-f]*' | sort -u | wc -l) -eq $1 ]] ;;
    esac
}

zookeeper_cli() { java -cp "/usr/share/java/*" org.apache.zookeeper.ZooKeeperMain -server "$place" "$@" 2>/dev/null; }

# --- Load and moves. ---

start_load() {
    local i
    for i in "${!proxies[@]}"; do
        "$SLIPWAY_BIN" load --addr "${proxies[i]}" --rate "$((RATE / ${#proxies[@]}))" --seconds 36000 --json \
            --mix "$mix" >"$dir/load$i.json" 2>>"$dir/load$i.out" &
        pids[load$i]=$!
    done
}

# The loads found nothing wrong.
end_load() {
    local i status
    for i in "${!proxies[@]}"; do
        status=0
        kill "${pids[load$i]}"
        wait "${pids[load$i]}" || status=$?
        unset "pids[load$i]"
        [[ $status -eq 0 ]] || { cat "$dir/load$i.json" "$dir/load$i.out" && return 1; }
        # A slot that is locked when the dashboard dies stays so until it is back.
        jq -c --argjson killed "$killed" --argjson back "$back" '{requests, max_us: .latency_us.max, p999_us: .latency_us.p99_9,
            longest_sent_after_the_kill_ms: (.worst[0].unix_ms - $killed), dashboard_back_after_ms: ($back - $killed)}' "$dir/load$i.json" >&3
    done
}

order() { admin --slot-action --create-range --beg=0 --end=$((SLOTS - 1)) --gid="$1"; }
arrived() { says "[.stats.slots[] | select(.id < $SLOTS and .group_id == $1 and (.action.state // \"\") == \"\")] | length == $SLOTS"; }
some_arrived() { says "[.stats.slots[] | select(.id < $SLOTS and .group_id == $1)] | length > $((SLOTS / 8))"; }
no_red_row() { says '[.stats.proxy.stats[] | select(.error or .timeout)] | length == 0'; }
has_no_key() { [[ $(redis-cli -u "redis://${nodes[$1 - 1]}" DBSIZE) -eq 0 ]]; }

kill_dashboard() {
    killed=$(date +%s%3N)
    stop dashboard KILL
    case $COORDINATOR in
        # The lock of one that was killed stays; who knows that it is dead takes it away.
        filesystem | etcd | zookeeper) "$CODIS_ADMIN" --remove-lock --product="$product" "--$COORDINATOR=$place" ;;
    esac
    start_dashboard
    back=$(date +%s%3N)
}

moves() {
    local method=$1
    shift
    product "$method" "$@"
    start_load
    sleep 2
    check "$SLOTS slots are ordered to group 2" order 2
    check "some have arrived" within 120 some_arrived 2
    check "the dashboard is killed in the middle and another goes on" kill_dashboard
    check "all have arrived" within $((120 + SLOTS / 2)) arrived 2
    check "and back" order 1
    check "all are back" within $((120 + SLOTS / 2)) arrived 1
    check "no row is red" no_red_row
    check "no client saw an error or a wrong value" end_load
    [[ $SLOTS -ne 1024 ]] || check "group 2 has no key left" has_no_key 2
    stop_all
}

# --- The routes, by those who use them. ---

api() {
    local verb
    product semi-async ours
    for verb in config model stats slots; do
        check "codis-admin --proxy $verb" eval "'$CODIS_ADMIN' --proxy=${proxy_admins[0]} $verb | jq -e . >/dev/null"
    done
    for verb in --start --reset-stats --forcegc --log-level=debug --log-level=info; do
        check "codis-admin --proxy $verb" "$CODIS_ADMIN" --proxy="${proxy_admins[0]}" "$verb"
    done
    check "a wrong password is refused with its reason" refused_for_its_password
    check "the list of proxies" eval "admin --list-proxy | jq -e 'length == 1' >/dev/null"
    check "reinit-proxy" admin --reinit-proxy --all
    check "resync-group" admin --resync-group --all
    check "one slot moves" eval 'admin --slot-action --create --sid=579 --gid=2 && within 30 says ".stats.slots[579].group_id == 2"'
    check "some slots move" eval 'admin --slot-action --create-some --gid-from=1 --gid-to=2 --num-slots=5 &&
        within 60 says "[.stats.slots[] | select(.group_id == 2)] | length == 6"'
    check "the interval is set" eval 'admin --slot-action --interval=1000 && says ".stats.slot_action.interval == 1000"'
    check "an action is removed" eval 'admin --slot-action --disabled=1 && admin --slot-action --create --sid=900 --gid=2 &&
        admin --slot-action --remove --sid=900 && admin --slot-action --disabled=0'
    check "a rebalance" eval 'admin --slot-action --interval=0 && admin --rebalance --confirm &&
        within 300 says "[.stats.slots[] | select(.group_id == 2)] | length == 512"'
    check "slots are assigned offline and back" eval 'admin --slots-assign --beg=1020 --end=1023 --offline --confirm &&
        admin --slots-assign --beg=1020 --end=1023 --gid=2 --confirm'
    check "slipway check finds nothing but groups that an assignment leaves out of sync" finds_nothing_else
    [[ -z $CODIS_FE ]] || console
    [[ -z $CODIS_HA ]] || check "codis-ha removes nobody within $HA_SECONDS s" watchdog
    proxy proxy2 ours
    check "a second proxy comes online" within 30 says '[.stats.proxy.stats[] | select(.stats.online)] | length == 2'
    check "remove-proxy ends it" remove_proxy2
    stop proxy1 INT
    proxies=() proxy_admins=()
    proxy proxy3 ours
    check "a dead proxy is forgotten by force" forget_the_dead
    check "a proxy is shut down by hand" shut_down_proxy3
    stop_all
}

gone() { ! runs "$1"; }

finds_nothing_else() {
    "$SLIPWAY_BIN" check codis --dashboard "$dashboard" --json >"$dir/check.json" || true
    jq -c '.findings[]' "$dir/check.json"
    jq -e '[.findings[] | select(.what | test("out of sync") | not)] | length == 0' "$dir/check.json"
}

remove_proxy2() {
    admin --remove-proxy --addr="${proxy_admins[1]}" && within 10 gone proxy2 && [[ ! -e $dir/proxy2.pid ]]
}

forget_the_dead() {
    within 20 says '.stats.proxy.models | length == 2' &&
        admin --remove-proxy --addr="$(topom | jq -r '.stats.proxy.models[0].admin_addr')" --force &&
        says '.stats.proxy.models | length == 1'
}

shut_down_proxy3() {
    "$CODIS_ADMIN" --proxy="${proxy_admins[0]}" --shutdown && within 10 gone proxy3
}

refused_for_its_password() {
    local said
    ! said=$("$CODIS_ADMIN" --proxy="${proxy_admins[0]}" --auth=wrong --start 2>&1) && grep -q xauth <<<"$said"
}

console() {
    port
    printf '[{"name": "%s", "dashboard": "%s"}]\n' "$product" "$dashboard" >"$dir/list.json"
    start fe "$CODIS_FE" --assets-dir="$(dirname "$CODIS_FE")/assets" --dashboard-list="$dir/list.json" --listen="$addr"
    check "codis-fe lists the product" within 20 eval "curl -sf http://$addr/list | jq -e '.[0] == \"$product\"' >/dev/null"
    check "codis-fe shows healthy proxies" within 20 eval \
        "curl -sf 'http://$addr/topom?forward=$product' | jq -e '[.stats.proxy.stats[] | select(.stats.online and (.stats.sentinels.switched | not))] | length == 1' >/dev/null"
    check "the link to a proxy's statistics" eval "curl -sf http://${proxy_admins[0]}/proxy/stats | jq -e '.ops.cmd and .runtime' >/dev/null"
    stop fe KILL
}

watchdog() {
    start ha "$CODIS_HA" --dashboard="$dashboard" --interval=1
    sleep "$HA_SECONDS"
    stop ha KILL
    says '.stats.proxy.models | length == 1' && runs proxy1 && no_red_row
}

# --- Client libraries. ---

clients() {
    product semi-async ours
    check "client libraries, unmodified" tests/clients/run.sh "${proxies[0]}"
    stop_all
}

# --- Which ones. ---

exec 3>&1
everything='strings=4,counters=2,hashes=3,lists=3,sets=2,zsets=2,ttl=2,multi=2,missing=1'
scenarios=("$@")
if [[ $# -eq 0 ]]; then
    scenarios=(api clients ours-semi-async ours-sync)
    [[ -z $OLD_CODIS_PROXY ]] || scenarios+=(old-semi-async old-sync both-semi-async both-sync)
fi
"$CODIS_DASHBOARD" --version | sed -n 1p
"$SLIPWAY_BIN" --version
for scenario in "${scenarios[@]}"; do
    mix=$everything
    case $scenario in
        api) api ;;
        clients) clients ;;
        ours-*) moves "${scenario#*-}" ours ours ;;
        old-*) moves "${scenario#*-}" old ;;
        both-*) moves "${scenario#*-}" ours old ;;
        *) echo "no scenario is called $scenario" >&2 && exit 2 ;;
    esac
done
[[ $failed -eq 0 ]] || { echo "$failed checks failed" && exit 1; }
