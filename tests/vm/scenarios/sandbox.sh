# shellcheck shell=bash
# The runner as a service of a real systemd, with a cgroup v2 of its own: a good student passes, and no attack does.
# To be run by tests/vm/run.sh, with `runner` and `mock-backend` as files.
set -uo pipefail
# shellcheck source=tests/vm/inside.sh
. /srv/test/inside.sh

# What the runner is told about its sandbox, and of time: an emulated processor is slow.
sandbox=(--sandbox auto --sandbox-require bwrap --timeout 60 --memory 256M --pids 64 --disk 64M)

# service UNIT PROPERTY…: starts a runner as the service manager does.
service() {
    local unit=$1
    shift
    systemd-run --quiet --unit="$unit" -p Delegate=yes -p KillMode=mixed -p TimeoutStopSec=60 \
        -p "StateDirectory=$unit" "${@/#/--property=}" "${offline[@]/#/--setenv=}" --setenv="$with_uv" \
        "$here/runner" --backend-url "$backend" --check-interval 1 --grace 1 \
        --tests-url "file://$here/repos/suite" --allow-local-repositories "${sandbox[@]}"
}

# level NAME PROPERTY…: one runner, from its start to its end. $some: the attacks, where not all are worth the time.
level() {
    local name=$1 unit=runner-$1 group
    shift
    echo "== $name ($SECONDS s)"
    start_backend || { fail "$name" 'the backend does not start'; return; }
    check "$name: starts" service "$unit" "$@"
    group=/sys/fs/cgroup$(systemctl show --value -p ControlGroup "$unit")
    echo "$name: $group has $(cat "$group/cgroup.controllers")"
    # Long, since the suite's environment is made first, by an emulated processor.
    verdict "$name: a good student" "$here/repos/student" 240 SUCCESS
    # shellcheck disable=SC2086 # names
    attacks "$name" $some
    check "$name: stops" systemctl stop "$unit"
    # systemd removes a group when its last process has gone.
    check "$name: nothing is left" test ! -e "$group"
    journalctl --no-pager -o cat -u "$unit" >"/tmp/$name.log"
    cat "/tmp/$name.log"
    in_force "$name" "/tmp/$name.log"
    check "$name: a control group of version 2" grep -q memory=cgroup-v2 "/tmp/$name.log"
    check "$name: the suite's files are read-only" grep -q suite=read-only "/tmp/$name.log"
    check "$name: everything is answered" grep -q 'everything that was taken is answered' <(journalctl -o cat -u "$unit")
    stop_backend
}

# measures: what each case took, where a peak cannot be reset and each case has a group of its own.
measures() {
    echo "== what cases take ($SECONDS s)"
    systemd-run --quiet --unit=measures -p Type=oneshot -p Delegate=yes -p StateDirectory=measures \
        -p StandardOutput=file:/tmp/measured.json -p StandardError=journal "${offline[@]/#/--setenv=}" --setenv="$with_uv" \
        "$here/runner" run --json --tests-url "file://$here/repos/measuring" --sandbox auto --sandbox-require bwrap --timeout 120 \
        --state-dir /var/lib/measures "$here/repos/student"
    check 'each case is told what it took and what grew before it' python3 "$here/measured.py" </tmp/measured.json
    journalctl --no-pager -o cat -u measures | tail -n 20
    python3 "$here/measured.py" </tmp/measured.json
}

uname -r
echo "clock source: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
equal 'cgroup v2' cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
some=''
level bwrap-root
# What differs without a user of its own for a task.
some='kills-everyone memory-4g report-forged writes-suite owns-suite'
level bwrap-user User=tester
measures
finish
