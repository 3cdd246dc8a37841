# shellcheck shell=bash
# What the scenarios share, on the inside of a machine or a container. To be sourced after `set -uo pipefail`: a scenario
# goes on after a failed check, and ends with `finish`.

here=/srv/test
# shellcheck source=/dev/null # made by run.sh
. "$here/settings"
passed=0
failed=0

# The suite's environment is made from the tree's wheels: there is no network. The runner hands these on to pip or uv.
# shellcheck disable=SC2034 # for those who source this
offline=(PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels UV_OFFLINE=1 UV_FIND_LINKS=/srv/wheels UV_PYTHON_DOWNLOADS=never)
# With this in its PATH the runner finds uv. Under emulation pip takes minutes for what uv does in seconds.
# shellcheck disable=SC2034
with_uv=PATH=/opt/uv:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

pass() { passed=$((passed + 1)); echo "OSTEST-VM: PASS $1"; }
# fail NAME WHY
fail() { failed=$((failed + 1)); echo "OSTEST-VM: FAIL $1 ${*:2}"; }

# equal NAME EXPECTED FOUND [MORE]
equal() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "expected $2, found $3 ${4:-}"; fi; }

# check NAME COMMAND…: passes if the command does.
check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then pass "$name"; else fail "$name" "$* said: $said"; fi
}

# until_ok SECONDS COMMAND…: waits until the command succeeds.
until_ok() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

finish() {
    echo "OSTEST-VM: END $passed passed $failed failed"
    [ "$failed" = 0 ]
}

# What the mock backend is told; with port 0 it takes a free one.
backend_options=(--port 0)

# Starts a mock backend; $backend is its address.
start_backend() {
    local said
    said=$(mktemp)
    "$here/mock-backend" "${backend_options[@]}" >"$said" 2>&1 &
    backend_pid=$!
    until_ok 30 grep -q 'listens on' "$said" || { cat "$said"; return 1; }
    backend=$(grep -om1 'http://[^ ]*' "$said")
}

stop_backend() { kill "$backend_pid" && wait "$backend_pid"; }

# verdict NAME REPOSITORY SECONDS EXPECTED: gives the runner a task; one verdict is expected, or several with commas.
verdict() {
    local name=$1 repository=$2 patience=$3 expected=$4 found
    found=$(python3 "$here/task.py" "$backend" "file://$repository" "$patience" 2>&1) || found="BROKEN $found"
    echo "$name: $found ($SECONDS s)"
    case ,$expected, in
    *,${found%% *},*) pass "$name" ;;
    *) fail "$name" "expected $expected, found $found" ;;
    esac
}

# expected_of ATTACK LEVEL: what the attack's files say, see tests/attacks/README.md; nothing if they do not.
expected_of() {
    local level line
    line=$(grep -rhE --exclude-dir=.git -m1 '@EXPECT:' "$1" | head -n1)
    for level in "$2" all; do
        grep -oE " $level=[A-Z|]+" <<<"$line" | sed 's/.*=//' | tr '|' ',' | grep . && return
    done
}

# attacks LEVEL [NAME…]: every attack there is, or only these, and then an honest student, who must not feel it.
attacks() {
    local attack name expected only=" ${*:2} "
    for attack in "$here"/repos/attacks/*/; do
        [ -d "$attack" ] || continue
        attack=${attack%/}
        name=$(basename "$attack")
        [ $# = 1 ] || [[ $only = *" $name "* ]] || continue
        name=$1/$name
        expected=$(expected_of "$attack" "$1")
        if [ -z "$expected" ]; then
            fail "$name" "its files say nothing of the level $1"
            continue
        fi
        verdict "$name" "$attack" 120 "$expected"
    done
    verdict "$1/the next task" "$here/repos/student" 120 SUCCESS
}

# in_force LEVEL LOG: the level that the runner says is in force is the one that is tried.
in_force() {
    check "$1: ${1%-*} is in force" grep -q "level=\"${1%-*}\"" "$2"
    grep -o 'enforced=.*' "$2" | head -n1
}
