# How points are checked: for the scripts beside this one, which source it at the top of the repository.
#
# A script has a function for each point, and calls `point NAME TEXT` for it; it is run again with NAME as its argument, in a process of its own.
# shellcheck shell=bash

size=${SIZE:-full}
case $size in
    small | full) export SLIPWAY_SIZE=$size ;;
    *) echo "SIZE=$size: write small or full" >&2 && exit 2 ;;
esac
# More than any point needs, on two cores with cold caches.
limit=60m
logs=target/accept
mkdir -p "$logs"

# The integration tests whose names begin with $1.
behaviour() { tests_of slipway-tests integration "$1"; }

# The tests of package $1, target $2, whose names contain $3; that there is none is a failure too.
tests_of() { tests "$1" "$3" --release --test "$2"; }

# The unit tests of package $1 whose names contain $2.
unit_tests_of() { tests "$1" "$2" --lib; }

# tests PACKAGE NAME FLAG…
tests() {
    local package=$1 name=$2 out
    shift 2
    out=$(cargo test -p "$package" "$@" -- "$name" --nocapture 2>&1 | tee -a /dev/stderr)
    grep -qE '^test result: ok\. [1-9]' <<<"$out" || { echo "no test of $package is named ${name:-so}" && return 1; }
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
