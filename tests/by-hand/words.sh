# Words of the scripts beside this one, which source it at the top of the repository: processes, checks, a dashboard that is asked.
#
# Who sources it sets `product`, and `dir`, `scenario`, `dashboard` and `nodes` for each scenario.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what is set here is used there, and the other way round

root=$(mktemp -d)
declare -A pids=()
failed=0

# --- Processes: each with a name; all that run are killed at the end. ---

# start NAME PROGRAM ARG…
start() {
    local name=$1
    shift
    "$@" >>"$dir/$name.out" 2>&1 3>&- &
    pids[$name]=$!
}

runs() { kill -0 "${pids[$1]}" 2>/dev/null; }

# stop NAME SIGNAL: and wait until it is gone.
stop() {
    kill -s "$2" "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

stop_all() {
    local name
    for name in "${!pids[@]}"; do stop "$name" KILL; done
}

finish() {
    stop_all
    if [[ -n ${KEEP:-} ]]; then echo "data and logs are in $root"; else rm -rf "$root"; fi
}
trap finish EXIT
trap 'exit 143' HUP INT TERM

# --- Words of the checks. ---

# check TEXT COMMAND ARG…
check() {
    local text=$1
    shift
    # Not in a shell of its own: what is started is to be known here.
    if "$@" >"$dir/said" 2>&1; then
        printf 'PASS %s: %s\n' "$scenario" "$text"
    else
        printf 'FAIL %s: %s: %s\n' "$scenario" "$text" "$(tail -n 3 "$dir/said" | tr '\n' ' ' | cut -c 1-600)"
        failed=$((failed + 1))
    fi
}

# within SECONDS COMMAND ARG…: again and again until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}

# Those that Pika takes 10,001 above shall not be ones that the system gives to outgoing connections, from 32768 on.
next_port=$((10000 + RANDOM % 12000))

# Sets addr to an address nobody listens at.
port() { ports 0; }

# ports ABOVE…: the same, and nobody listens at the ports that are so much higher.
ports() {
    local above
    while :; do
        next_port=$((next_port + 1))
        for above in "$@"; do
            ! (exec 3<>"/dev/tcp/127.0.0.1/$((next_port + above))") 2>/dev/null || continue 2
        done
        break
    done
    addr=127.0.0.1:$next_port
}

# --- The dashboard, which listens at $dashboard. ---

admin() { "$CODIS_ADMIN" --dashboard="$dashboard" "$@"; }
topom() { curl -sf --max-time 5 "http://$dashboard/topom"; }

# says FILTER: the product's state fulfils it.
says() { topom | jq -e "$1" >/dev/null; }

# Two groups, of one node each: the first two of `nodes`. All slots are at the first.
groups() {
    local id
    for id in 1 2; do
        admin --create-group --gid="$id"
        within 20 admin --group-add --gid="$id" --addr="${nodes[id - 1]}"
    done
    admin --slots-assign --beg=0 --end=1023 --gid=1 --confirm
    says '[.stats.slots[] | select(.group_id == 1)] | length == 1024'
}
