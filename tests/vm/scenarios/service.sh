# shellcheck shell=bash
# The units of systemd/, installed by the commands of docs/systemd.md, under a real systemd: started, reloaded, drained, killed,
# stopped short, several on one host. To be run by tests/vm/run.sh, with `runner`, `mock-backend`, `systemd`,
# `docs/systemd.md` and the package that packaging/deb.sh makes.
set -uo pipefail
# shellcheck source=tests/vm/inside.sh
. /srv/test/inside.sh

unit=ostest-runner
port=5000
backend_options=(--port "$port" --auth --user worker:secret-of-the-vm --user one:secret-of-one)
instances=${OSTEST_INSTANCES:-3}

# The page's own commands, in a tree that looks like a built one.
install_by_hand() {
    mkdir -p /tmp/source/target
    ln -s "$here" /tmp/source/target/release
    ln -s "$here/systemd" /tmp/source/systemd
    awk '/^## /{in_section = /Install by hand/} in_section && /^    install .*target\/release/{block = 1} block && !/^    /{exit} block' \
        "$here/systemd.md" | tee /tmp/commands
    [ "$(wc -l </tmp/commands)" -ge 5 ] && cd /tmp/source && bash -ex /tmp/commands
}

# What this machine needs besides: its own backend, no network, short times.
settings() {
    printf '%s\n' "RUNNER_BACKEND_URL=http://127.0.0.1:$port" RUNNER_AUTH=true RUNNER_LOGIN=worker \
        RUNNER_CHECK_INTERVAL=1 RUNNER_GRACE=1 "RUNNER_TESTS_URL=file://$here/repos/suite" \
        RUNNER_ALLOW_LOCAL_REPOSITORIES=true RUNNER_TIMEOUT=300 RUNNER_MEMORY=256M RUNNER_PIDS=64 RUNNER_DISK=64M \
        "${offline[@]}" "$with_uv" >>/etc/ostest-runner/environment
    (umask 077 && echo secret-of-the-vm >/etc/credstore/ostest-runner.password)
    # So that the watchdog is not waited for a minute.
    mkdir -p /etc/systemd/system/$unit.service.d
    printf '[Service]\nWatchdogSec=15s\n' >/etc/systemd/system/$unit.service.d/short.conf
    systemctl daemon-reload
}

property() { systemctl show --value -p "$1" "${2:-$unit}"; }
status() { property StatusText; }
is() { [ "$(property "$1")" = "$2" ]; }
says() { [[ $(status) == *"$1"* ]]; }
# logged WORDS [SINCE-CURSOR]
logged() { grep -q -- "$1" <(journalctl --no-pager -q -o cat -u "$unit" ${2:+--after-cursor="$2"}); }
cursor() { journalctl --no-pager -q -n 0 --show-cursor | sed -n 's/^-- cursor: //p'; }

# begin NAME: gives a slow task and waits until it runs; ended NAME [VERDICT]: what came of it.
begin() {
    python3 "$here/task.py" "$backend" "file://$here/repos/slow" 240 >/tmp/verdict 2>&1 &
    task=$!
    if until_ok 60 says '(execute)'; then pass "$1"; else fail "$1" "its status is $(status)"; fi
}
ended() {
    wait "$task"
    case $(</tmp/verdict) in
    "${2:-SUCCESS}"*) pass "$1" ;;
    *) fail "$1" "$(</tmp/verdict)" ;;
    esac
}

installed() {
    check 'installed by hand' install_by_hand
    for file in ostest-runner.service ostest-runner@.service; do
        said=$(systemd-analyze verify --man=no "/etc/systemd/system/$file" 2>&1)
        equal "$file: verify is clean" '' "$(grep -F ostest-runner <<<"$said")"
        check "$file: exposure is 3.0 at the most" systemd-analyze security --offline=true --threshold=30 --no-pager "/etc/systemd/system/$file"
        systemd-analyze security --offline=true --no-pager "/etc/systemd/system/$file" | tail -n 1
    done
}

starts() {
    check 'starts' systemctl enable --now "$unit"
    is ActiveState active || journalctl --no-pager -q -o cat -u "$unit" -n 20
    equal 'is ready' active "$(property ActiveState)"
    echo "ready after $(($(property ActiveEnterTimestampMonotonic) - $(property InactiveExitTimestampMonotonic))) µs"
    verdict 'a good student' "$here/repos/student" 240 SUCCESS
    check 'idle by its status' until_ok 20 says 'idle: 0 of 2 slots busy'
    systemctl status --no-pager --lines=0 "$unit"
    journalctl --no-pager -q -o cat -u "$unit" >"/tmp/$unit.log"
    in_force bwrap-user "/tmp/$unit.log"
    check 'a control group of version 2' grep -q memory=cgroup-v2 "/tmp/$unit.log"
    equal 'its user' ostest-runner "$(ps -o user:20= -p "$(property MainPID)" | tr -d ' ')"
    equal 'nobody else can read the password' 600 "$(stat -c %a /etc/credstore/ostest-runner.password)"
    check 'the password is in no environment' test -z "$(grep -rlz secret-of-the-vm /proc/[0-9]*/environ 2>/dev/null | tr '\0' ' ')"
    check 'priorities in the journal' grep -q '"PRIORITY":"6"' <(journalctl -q -u "$unit" -o json | grep 'the suite is ready')
    # Beside the running one, with what the unit gives it, as in docs/systemd.md. This boot starts no message bus by itself.
    systemctl start dbus.socket
    check 'the doctor finds nothing amiss' systemd-run --quiet --pipe --wait --uid=ostest-runner -p Delegate=yes \
        -p StateDirectory=ostest-runner -p LoadCredential=ostest-runner.password \
        -p EnvironmentFile=/etc/ostest-runner/environment runner doctor
    attacks bwrap-user kills-everyone memory-4g report-forged writes-suite
}

reloads() {
    local since
    since=$(cursor)
    printf 'check_interval = 2\nlogger_level = "debug"\n' >/etc/ostest-runner/config.toml
    check 'reload' systemctl reload "$unit"
    check 'it is read again' until_ok 10 logged 'logger_level .* -> debug' "$since"
    check 'reloaded, it is active' until_ok 10 is ActiveState active
    echo 'check_interval = "often"' >/etc/ostest-runner/config.toml
    since=$(cursor)
    systemctl reload "$unit"
    check 'a wrong file changes nothing' until_ok 10 logged 'the settings are wrong' "$since"
    equal 'and ends nothing' active "$(property ActiveState)"
    check 'an error is one in the journal' grep -q 'settings are wrong' <(journalctl -q -u "$unit" -p err -o cat)
    rm /etc/ostest-runner/config.toml
    systemctl reload "$unit"
}

# What only a person can mend is said once, and not tried again and again.
refuses() {
    local since
    echo 'check_interval = "often"' >/etc/ostest-runner/config.toml
    since=$(cursor)
    systemctl restart "$unit" && fail 'a wrong setting' 'it starts all the same'
    # Longer than RestartSec.
    sleep 12
    equal 'a wrong setting: it is not tried again' 'failed 2 0' \
        "$(property ActiveState) $(property ExecMainStatus) $(property NRestarts)"
    # Of the whole journal: after a cursor that is none of the unit's, journalctl -u passes over the unit's first line.
    equal 'a wrong setting: said once' 1 "$(journalctl -q --after-cursor "$since" -o cat | grep -c 'config.toml:1: check_interval: ')"
    rm /etc/ostest-runner/config.toml
    check 'a wrong setting that is mended: it starts' systemctl start "$unit"
}

drains() {
    local since
    since=$(cursor)
    begin 'a task runs'
    systemctl stop --no-block "$unit"
    check 'the drain shows in its status' until_ok 10 says 'stopping: 1 task to finish'
    equal 'systemd knows that it stops' deactivating "$(property ActiveState)"
    ended 'stopped in the middle of a task: answered'
    check 'stops' until_ok 30 is ActiveState inactive
    equal 'as asked' success "$(property Result)"
    check 'everything is answered' logged 'everything that was taken is answered' "$since"
    check 'nothing is left' test ! -e "/sys/fs/cgroup/system.slice/$unit.service"
    systemctl start "$unit"
}

# A drain that takes longer than TimeoutStopSec: the runner asks for the time. And one that is cut short.
drains_longer() {
    mkdir -p /run/systemd/system/$unit.service.d
    printf '[Service]\nTimeoutStopSec=10s\n' >/run/systemd/system/$unit.service.d/stop.conf
    systemctl daemon-reload
    begin 'a task runs on'
    systemctl stop "$unit"
    ended 'a drain longer than TimeoutStopSec: answered'
    equal 'and not cut short' success "$(property Result)"
    systemctl start "$unit"
    begin 'a task runs to be interrupted'
    systemctl stop --no-block "$unit"
    until_ok 10 says 'stopping: '
    check 'a second SIGTERM' systemctl kill -s TERM --kill-whom=main "$unit"
    # How far pytest has come by then is the machine's affair.
    ended 'a second SIGTERM: answered as interrupted' 'ERROR 0/'
    check 'a second SIGTERM: the answer says so' grep -q ' the runner was stopped' /tmp/verdict
    check 'a second SIGTERM: it ends' until_ok 30 is ActiveState inactive
    rm /run/systemd/system/$unit.service.d/stop.conf
    systemctl daemon-reload
    systemctl start "$unit"
}

killed() {
    local restarts since
    restarts=$(property NRestarts)
    begin 'a task runs to be killed'
    since=$(cursor)
    kill -9 "$(property MainPID)"
    check 'kill -9: started again' until_ok 60 is NRestarts $((restarts + 1))
    ended 'kill -9: the task is answered'
    check 'kill -9: as strongly confined' logged 'level="bwrap".*memory=cgroup-v2' "$since"
}

watched() {
    local restarts pid
    restarts=$(property NRestarts)
    pid=$(property MainPID)
    stop_backend
    sleep 45
    equal 'a backend that is away for three times WatchdogSec: no restart' "$restarts $pid" "$(property NRestarts) $(property MainPID)"
    check 'its status says so' says 'the backend cannot be reached'
    start_backend || fail 'the backend' 'does not start again'
    begin 'a task runs to be stopped short'
    kill -STOP "$pid"
    # So it is said until the new process starts, RestartSec later.
    check 'kill -STOP: the watchdog ends it' until_ok 90 is Result watchdog
    check 'kill -STOP: started again' until_ok 60 is NRestarts $((restarts + 1))
    ended 'kill -STOP: the task is answered'
}

several() {
    local name names=() tried
    systemctl disable --now "$unit"
    for name in $(seq "$instances"); do
        names+=("ostest-runner@$name")
        printf '%s\n' "RUNNER_LISTEN=127.0.0.1:$((9180 + name))" RUNNER_CONCURRENT=1 >"/etc/ostest-runner/$name.environment"
    done
    # The first has a login of its own; the others take the common password.
    echo RUNNER_LOGIN=one >>/etc/ostest-runner/1.environment
    (umask 077 && echo secret-of-one >/etc/credstore/ostest-runner@1.password)
    check "$instances instances start" systemctl start "${names[@]}"
    for name in $(seq "$instances"); do
        check "instance $name is ready to take tasks" until_ok $((100 + 60 * instances)) \
            runner healthcheck --url "http://127.0.0.1:$((9180 + name))/readyz"
    done
    free -m
    # Each takes one: it has one slot, and none is done before all have asked.
    python3 "$here/task.py" "$backend" "file://$here/repos/slow" 400 "$instances" >/tmp/verdicts 2>&1 &
    tried=$!
    for name in $(seq "$instances"); do
        unit=ostest-runner@$name
        check "instance $name works" until_ok 120 says '1 of 1 slots busy: '
    done
    check "$instances instances are drained" systemctl stop 'ostest-runner@*'
    wait "$tried"
    cut -c 1-100 /tmp/verdicts
    # A failure too is an answer of the suite's: its tests have 3 s, and this machine two slow processors.
    equal "$instances instances: all tasks answered" "$instances" "$(grep -cE '^(SUCCESS|FAILURE) ' /tmp/verdicts)"
    for name in "${names[@]}"; do
        equal "$name ends well" 'inactive success' "$(property ActiveState "$name") $(property Result "$name")"
    done
    equal 'each has a state of its own' "$instances" "$(find /var/lib/ostest-runner-* -maxdepth 1 -name spool | wc -l)"
    unit=ostest-runner
}

# The package instead, on a system that has nothing of the above.
packaged() {
    local deb user pid
    deb=$(echo "$here"/*.deb)
    [ -e "$deb" ] || { fail 'the package' 'none was given'; return; }
    systemctl stop 'ostest-runner*'
    rm -rf /usr/bin/runner /etc/systemd/system/ostest-runner* /etc/{sysusers,tmpfiles}.d/ostest-runner.conf \
        /etc/ostest-runner /etc/credstore /var/lib/ostest-runner*
    userdel ostest-runner
    systemctl daemon-reload
    check 'the package is installed' dpkg --install "$deb"
    equal 'it starts nothing by itself' 'disabled inactive' "$(systemctl is-enabled "$unit" | xargs) $(property ActiveState)"
    for user in /usr/share/man/man1/runner.1.gz /usr/share/bash-completion/completions/runner /etc/ostest-runner; do
        check "it brings $user" test -s "$user"
    done
    install -m 644 /usr/share/doc/ostest-runner/examples/environment /etc/ostest-runner/environment
    settings
    check 'packaged: starts' systemctl enable --now "$unit"
    verdict 'packaged: a good student' "$here/repos/student" 240 SUCCESS
    pid=$(property MainPID)
    check 'packaged: an upgrade' dpkg --install "$deb"
    equal 'packaged: an upgrade leaves what runs alone' "active $pid" "$(property ActiveState) $(property MainPID)"
    begin 'packaged: a task runs'
    check 'packaged: is removed' dpkg --remove ostest-runner
    ended 'packaged: removal drains'
    equal 'packaged: removed, its state is kept' 1 "$(find /var/lib/ostest-runner -maxdepth 1 -name spool | wc -l)"
    check 'packaged: is purged' dpkg --purge ostest-runner
    equal 'packaged: purged, nothing stays' '' "$(ls -d /var/lib/ostest-runner* /etc/ostest-runner* /etc/credstore/ostest-runner* /etc/systemd/system/multi-user.target.wants/ostest-runner* 2>/dev/null)"
}

start_backend || fail 'the backend' 'does not start'
for part in ${OSTEST_PARTS:-installed settings starts reloads refuses drains drains_longer killed watched several packaged}; do
    echo "== $part ($SECONDS s)"
    "$part"
done
journalctl --no-pager -q -o short -u 'ostest-runner*' -p warning | tail -n 40
stop_backend
finish
