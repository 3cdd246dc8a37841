# shellcheck shell=bash
# What runs in a container: the runner, a backend, one good student, and the attacks of the level that is given.
set -uo pipefail
# shellcheck source=tests/vm/inside.sh
. /srv/test/inside.sh

level=$1
# What the runner is told about its sandbox.
sandbox=(--sandbox auto --sandbox-require "${level%-*}" --timeout 10 --memory 256M --pids 64 --disk 64M)

export HOME=/tmp/home "${offline[@]}"
mkdir -p "$HOME"
start_backend || fail "$level" 'the backend does not start'
"$here/runner" --backend-url "$backend" --check-interval 1 --grace 1 --state-dir /tmp/state \
    --tests-url "file://$here/repos/suite" --allow-local-repositories "${sandbox[@]}" >/tmp/log 2>&1 &
runner=$!
verdict "$level: a good student" "$here/repos/student" 120 SUCCESS
attacks "$level"
kill "$runner"
wait "$runner"
equal "$level: stops" 0 $?
cat /tmp/log
in_force "$level" /tmp/log
check "$level: everything is answered" grep -q 'everything that was taken is answered' /tmp/log
stop_backend
finish
