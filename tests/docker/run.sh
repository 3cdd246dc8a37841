#!/usr/bin/env bash
# run.sh RUNNER MOCK-BACKEND: a good student and a dozen attacks in containers of a real Docker engine, with its default seccomp
# profile and capabilities and with those of docs/container.md, as root and as a plain user. The engine is started here, and nothing is left of it.
set -euo pipefail
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"
# shellcheck source=tests/docker/lib.sh
. "$(dirname "$0")/lib.sh"

limit=${OSTEST_DOCKER_TIMEOUT:-$((180 + 10 * $(attacks | wc -l)))}

[ $# = 2 ] || die 'usage: run.sh RUNNER MOCK-BACKEND'

need git git
tree=$("$root/tests/vm/tree.sh") || exit
[ -n "$tree" ] || exit 0 # it has said why

# container NAME OPTION…: runs the scenario; its verdict counts as in tests/vm/run.sh.
container() {
    local name=$1 said=$work/said.$1 good bad
    shift
    echo "== $name"
    timeout --kill-after=5 "$limit" docker run --rm --network host --volume "$work/test:/srv/test:ro" "$@" "$base" \
        /bin/bash /srv/test/scenario.sh "$name" 2>&1 | tee "$said" || true
    good=$(grep -c '^OSTEST-VM: PASS ' "$said" || true)
    bad=$(grep -c '^OSTEST-VM: FAIL ' "$said" || true)
    if [ "$good" = 0 ] || [ "$bad" != 0 ] || ! grep -qx "OSTEST-VM: END $good passed $bad failed" "$said"; then
        failed+=("$name")
    fi
}

engine_begin
import_base "$tree"
say "the image is made after $SECONDS s"
stage "$work/test" "$(dirname "$0")/scenario.sh" "$@"
failed=()
# As docs/container.md has them.
strong=(--security-opt "seccomp=$root/docker/seccomp.json" --security-opt systempaths=unconfined)
container basic-root
container basic-user --user 1000
container bwrap-user --user 1000 "${strong[@]}" --security-opt no-new-privileges --cap-drop ALL
container bwrap-root "${strong[@]}" --cap-add SYS_ADMIN
[ ${#failed[@]} = 0 ] || die "FAILED after $SECONDS s: ${failed[*]}"
say "all passed after $SECONDS s"
