# shellcheck shell=bash
# The steps of .ci/run, their times, and the record of the long ones. To be sourced.

# A line for each long step: its name, the hash of what it depends on, the commit, the date; with tabs between.
record=.ci/passed
rows=()
current=''
began=0

# need NEED:PACKAGE…: the packages whose program or file is not here.
need() {
    local pair found missing=()
    for pair in "$@"; do
        found=${pair%%:*}
        [ -n "$found" ] && { command -v "$found" >/dev/null || [ -e "$found" ]; } || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    # Once: the lists of a fresh machine are empty.
    if [ -z "${updated:-}" ]; then
        apt-get update -qq -o Acquire::Retries=5
        updated=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Acquire::Retries=5 --no-install-recommends "${missing[@]}" >/dev/null
}

row() { rows+=("$(printf '%7s  %s' "$1" "$2")"); }

# step NAME COMMAND…
step() {
    current=$1 began=$SECONDS
    printf '\n=== %s (after %s s)\n' "$current" "$began"
    "${@:2}"
    row "$((SECONDS - began)) s" "$current"
    current=''
}

# long NAME COMMAND PATH…: a step that runs where files that match one of the paths have changed since it passed.
long() {
    local name=$1 command=$2 hash passed='' path why=''
    shift 2
    for path in "$@"; do
        [ -n "$(git ls-files -- "$path")" ] || why="no file matches $path"
    done
    hash=$(git ls-files -s -- "$@" | sha256sum | cut -c1-16)
    [ ! -e "$record" ] || passed=$(awk -F '\t' -v name="$name" '$1 == name' "$record")
    if [ "${DEEP:-}" = 1 ]; then
        why='DEEP=1'
    elif [ -n "$(git status --porcelain -- "$@")" ]; then
        why='its files are changed and not committed'
    elif [ -z "$why" ] && [ "$(cut -f2 <<<"$passed")" != "$hash" ]; then
        why="its files have changed since it passed$([ -z "$passed" ] && echo ', of which nothing is recorded' || echo " at $(cut -f3 <<<"$passed")")"
    fi
    if [ -z "$why" ]; then
        row 'not run' "$name: passed at $(cut -f3,4 <<<"$passed" | tr '\t' ' '), and its files are the same"
        return
    fi
    echo "$name: runs, since $why"
    step "$name" "$command"
    [ -n "$(git status --porcelain -- "$@")" ] || note "$name" "$hash"
}

# note NAME HASH: the step has passed with files of that hash.
note() {
    local kept
    kept=$([ ! -e "$record" ] || awk -F '\t' -v name="$1" '$1 != name' "$record")
    {
        [ -z "$kept" ] || printf '%s\n' "$kept"
        printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$(git rev-parse --short=12 HEAD)" "$(date -u +%F)"
    } | sort >"$record.new"
    mv "$record.new" "$record"
}

table() {
    local code=$?
    [ -z "$current" ] || row "$((SECONDS - began)) s" "$current: FAILED"
    printf '\n=== steps\n'
    [ ${#rows[@]} = 0 ] || printf '%s\n' "${rows[@]}"
    if [ "$code" = 0 ]; then
        echo "passed after $SECONDS s"
    else
        echo "FAILED after $SECONDS s; the steps after that did not run"
    fi
    rm -rf "${tools:-}"
}
trap table EXIT
