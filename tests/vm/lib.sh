# shellcheck shell=bash
# What the scripts here and in tests/docker/ share on this side, the host's. To be sourced after `set -euo pipefail`.

# Debian keeps some of the tools where a plain user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck disable=SC2034 # for those who source this
cache=$(realpath -m "${OSTEST_VM_CACHE:-$target/vm}")

say() { printf 'tests/%s: %s\n' "$(basename "$(dirname "$(realpath "$0")")")/$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

# Ends the script: nothing was tested. Good enough at home, a failure in CI.
skip() {
    if [ "${RUNNER_TEST_NO_SKIP:-}" = 1 ]; then
        die "FAILED: $*, and nothing may be skipped here"
    fi
    say "SKIPPED, NOTHING WAS TESTED: $*"
    exit 0
}

need_root() { [ "$(id -u)" = 0 ] || skip 'this needs root'; }

# need COMMAND PACKAGE
need() { command -v "$1" >/dev/null || skip "$1 not found; install with: apt-get install $2"; }

# Takes away what is mounted at or below a folder, the last mount first.
unmount_below() {
    local point
    while read -r point; do
        umount "$point" 2>/dev/null || umount --lazy "$point"
    done < <(awk -v below="$1" '$5 == below || index($5, below "/") == 1 { print $5 }' /proc/self/mountinfo | tac)
}

# Mounts first: a folder must never be removed through one.
remove() {
    unmount_below "$1"
    rm -rf --one-file-system "$1"
}

# commit FOLDER: makes a repository with one commit on `main` of what is in the folder, whatever git is told elsewhere.
commit() (
    cd "$1" || exit
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    export GIT_AUTHOR_NAME=sample GIT_AUTHOR_EMAIL=sample@example.org
    export GIT_COMMITTER_NAME=sample GIT_COMMITTER_EMAIL=sample@example.org
    git init --quiet --template= --initial-branch=main .
    git add --all --force
    git commit --quiet --message='A sample'
)

# A dozen of the attacks, of each kind one; all of them are run by `cargo test --test it attacks`.
dozen='evil-config fills-disk fork-bomb kernel-calls kills-everyone memory-4g mounts namespaces owns-suite privileges proc-token report-forged
setsid-heartbeat threads-bomb writes-suite'

# attacks: the names of those that are to be run, a line each.
attacks() { tr -s ' \n' '\n' <<<"${OSTEST_ATTACKS:-$dozen}"; }

# student NAME FOLDER: the repository of a student of tests/attacks/.
student() {
    mkdir -p "$2"
    cp -R "$root/tests/attacks/shared/." "$root/tests/attacks/$1/." "$2/"
    # What the harness of tests/it/attacks/ tells its attackers; here it is the same for all.
    printf '%s\n' "MARK=ostest-mark-$1" SECONDS=20 RUNNER_PID=2 FOLDER=/srv/test STATE=/tmp/state SECRET_BACKWARDS=emases >"$2/outside"
    commit "$2"
}

# slow FOLDER: an honest student whose build takes a while, so that something can happen meanwhile.
slow() {
    mkdir -p "$1"
    cp -R "$root/tests/attacks/shared/." "$root/tests/attacks/honest/." "$1/"
    printf 'all: pause\npause:\n\tsleep 25\n' | cat - "$root/tests/attacks/shared/Makefile" >"$1/Makefile"
    printf 'MARK=slow\n' >"$1/outside"
    commit "$1"
}

# repositories FOLDER: the attacks' suite, the one that measures, two honest students, and the attacks, as repositories in
# FOLDER. The guest has no git.
repositories() {
    local attack names
    mkdir -p "$1/attacks"
    cp -R "$root/tests/attacks/suite" "$1/suite"
    commit "$1/suite"
    cp -R "$root/tests/measuring" "$1/measuring"
    commit "$1/measuring"
    student honest "$1/student"
    slow "$1/slow"
    mapfile -t names < <(attacks)
    for attack in "${names[@]}"; do
        student "$attack" "$1/attacks/$attack"
    done
}

# stage FOLDER SCENARIO FILES…: all that the other side needs, in one folder. It will be /srv/test there.
stage() {
    local folder=$1 scenario=$2
    shift 2
    mkdir -p "$folder"
    cp "$root/tests/vm/boot.sh" "$root/tests/vm/inside.sh" "$root/tests/vm/task.py" "$root/tests/vm/measured.py" "$folder/"
    cp "$scenario" "$folder/scenario.sh"
    [ $# = 0 ] || cp -R -- "$@" "$folder/"
    # What was asked for here is to be known there.
    printf '%s\n' "OSTEST_PARTS=$(printf %q "${OSTEST_PARTS:-}")" "OSTEST_INSTANCES=$(printf %q "${OSTEST_INSTANCES:-}")" >"$folder/settings"
    repositories "$folder/repos"
    chmod -R a+rX "$folder"
}

# runs_in TREE FILE: whether the tree's C library is new enough for a program that was built on this machine.
runs_in() {
    local libraries=$1/usr/lib/x86_64-linux-gnu
    "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$2" --version >/dev/null
}
