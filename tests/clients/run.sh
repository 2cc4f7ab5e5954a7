#!/usr/bin/env bash
# Client libraries, unmodified, against an address: a line, PASS or FAIL, for each library and version of RESP; exit 0 only if all pass.
#
#   tests/clients/run.sh HOST:PORT            all
#   tests/clients/run.sh HOST:PORT ioredis    those whose name begins so
#
# The libraries are installed into $SLIPWAY_CACHE/clients (~/.cache/slipway/clients by default) when they are not there yet: that alone needs a
# network. What cannot be installed has failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

address=${1:?say where to connect: HOST:PORT}
only=${2:-}
host=${address%:*}
port=${address##*:}
cache=${SLIPWAY_CACHE:-${HOME:-/tmp}/.cache/slipway}/clients
# For one library and one version of RESP.
limit=150s
# For pip or npm.
install_limit=240s

# The folder for what a file of versions asks for: another one for other versions.
folder() {
    echo "$cache/$1-$(sha256sum "$here/$2" | cut -c 1-12)"
}
python=$(folder python requirements.txt)
javascript=$(folder javascript package.json)

# Why a language's libraries are not there, in a line.
declare -A missing

# Installs into a folder of its own, which takes its place when it is whole: runs may overlap.
install_into() {
    local target=$1 language=$2 program=$3 making log
    [[ ! -d $target && -z ${missing[$language]:-} ]] || return 0
    if ! command -v "$program" >/dev/null; then
        missing[$language]="$program is missing: run .ci/setup"
        return 0
    fi
    mkdir -p "$cache"
    making=$(mktemp -d "$cache/making.XXXXXX")
    log=$cache/$language.log
    if "${language}_packages" "$making" >"$log" 2>&1; then
        mv -T "$making" "$target" 2>/dev/null || rm -rf "$making"
    else
        rm -rf "$making"
        missing[$language]="its packages cannot be installed, is there a package registry? $log says: $(grep -m 1 -iE '^(ERROR|npm err)' "$log" || true)"
    fi
}
python_packages() {
    timeout --kill-after=5s "$install_limit" python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
        --retries 2 --timeout 15 --target "$1" -r "$here/requirements.txt"
}
javascript_packages() {
    cp "$here/package.json" "$1/"
    (cd "$1" && timeout --kill-after=5s "$install_limit" npm install --loglevel=error --no-audit --no-fund --no-package-lock --ignore-scripts)
}
is_there() {
    [[ -z ${missing[$1]:-} ]] || { echo "  not tested: ${missing[$1]}" && return 1; }
}

redis_py() {
    is_there python || return 1
    PYTHONPATH=$python PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=5s "$limit" python3 "$here/redis_py.py" "$address" "$1"
}
javascript_test() {
    is_there javascript || return 1
    # Node looks for packages beside the file that imports them. The folder is this run's alone: another may begin meanwhile.
    scripts=$(mktemp -d)
    # The shell that ends is the one of `point`, which takes the output.
    trap 'rm -rf "$scripts"' EXIT
    cp "$here"/*.mjs "$scripts/"
    ln -s "$javascript/node_modules" "$scripts/node_modules"
    timeout --kill-after=5s "$limit" node "$scripts/$1" "$address" "$2"
}
ioredis() { javascript_test ioredis.mjs "$1"; }
node_redis() { javascript_test node_redis.mjs "$1"; }

# Its own figures do not matter here, but each of its tests must have one, and afterwards the data must be what it wrote.
benchmark_tests=set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,mset
benchmark_requests=20000
benchmark() {
    local output name
    cli DEL counter:__rand_int__ mylist >/dev/null
    output=$(timeout --kill-after=5s "$limit" redis-benchmark -h "$host" -p "$port" -t "$benchmark_tests" -n "$benchmark_requests" -c 20 -q "$@" 2>&1 | tr '\r' '\n') ||
        { tail -n 5 <<<"$output" && return 1; }
    if grep -iE 'error|warning' <<<"$output"; then
        return 1
    fi
    for name in SET GET INCR LPUSH RPUSH LPOP RPOP SADD HSET SPOP ZADD ZPOPMIN "MSET (10 keys)"; do
        grep -qF "$name: " <<<"$(grep -F 'requests per second' <<<"$output")" || { echo "  no figure for $name" && return 1; }
    done
    is "$benchmark_requests" GET counter:__rand_int__ || return 1
    # As many were pushed as popped.
    is 0 LLEN mylist || return 1
    echo "  $(grep -cF 'requests per second' <<<"$output") tests of redis-benchmark $*"
}
cli() { timeout 20 redis-cli -h "$host" -p "$port" "$@"; }
is() {
    local wanted=$1 got
    shift
    got=$(cli "$@")
    [[ $got == "$wanted" ]] || { echo "  after the benchmark, $*: $got instead of $wanted" && return 1; }
}

failed=0
point() {
    local name=$1 output
    shift
    [[ $name == "$only"* ]] || return 0
    case $name in
        redis-py*) install_into "$python" python python3 ;;
        ioredis* | node-redis*) install_into "$javascript" javascript npm ;;
    esac
    if output=$("$@" 2>&1); then
        printf 'PASS %s\n' "$name"
    else
        printf 'FAIL %s\n%s\n' "$name" "$output"
        failed=$((failed + 1))
    fi
}

[[ $(cli PING 2>&1) == PONG ]] || { echo "FAIL nobody answers at $address" && exit 1; }
point "redis-py RESP2" redis_py 2
point "redis-py RESP3" redis_py 3
point "ioredis RESP2" ioredis 2
point "ioredis RESP3" ioredis 3
point "node-redis RESP2" node_redis 2
point "node-redis RESP3" node_redis 3
point "redis-benchmark RESP2" benchmark
point "redis-benchmark RESP2, pipelines of 16" benchmark -P 16
point "redis-benchmark RESP3" benchmark -3
point "redis-benchmark RESP3, pipelines of 16" benchmark -3 -P 16

[[ $failed -eq 0 ]] || exit 1
