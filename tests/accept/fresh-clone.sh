#!/usr/bin/env bash
# A newcomer's first minutes: clone what is committed, `make run`, talk to it with redis-cli, stop it; with SLIPWAY_SIZE=full also
# `make test`. The target folder is empty; ccache may be warm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

place=$(mktemp -d)
run=
end() {
    [[ -z $run ]] || kill -KILL -- "-$run" 2>/dev/null || true
    rm -rf "$place"
}
trap end EXIT

free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); do
        # Nobody answers there: the connection is refused.
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# Runs the rest as a command until it succeeds, for at most $1 seconds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [[ $SECONDS -lt $end ]] || { echo "still failing: $*" && return 1; }
        sleep 0.2
    done
}

client() { timeout 5 redis-cli -p "$port" "$@" 2>/dev/null; }
answers() { [[ $(client PING) == PONG ]]; }
is_gone() { ! kill -0 -- "-$run" 2>/dev/null; }
answers_or_is_gone() { answers || is_gone; }

git clone --quiet . "$place/clone"
cd "$place/clone"
export CARGO_TARGET_DIR=$place/target
make build
port=$(free_port)
admin=$(free_port)
# A session of its own, so that the whole of it can be stopped and nothing else.
setsid make run ARGS="--listen 127.0.0.1:$port --admin 127.0.0.1:$admin --data $place/data" &
run=$!
within 300 answers_or_is_gone
answers || { echo "make run ended by itself" && exit 1; }
[[ $(client SET greeting hello) == OK ]]
[[ $(client GET greeting) == hello ]]
# The program alone: make would pass the signal on, and a second one means "at once".
kill -TERM "$(pgrep -g "$run" -x slipway)"
within 60 is_gone
wait "$run"
run=
echo "make run: works"

if [[ ${SLIPWAY_SIZE:-small} == full ]]; then
    # The sizes of CI: the big ones are points of their own.
    make test SIZE=small
    echo "make test: works"
fi
