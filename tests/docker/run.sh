#!/usr/bin/env bash
# run.sh RUNNER MOCK-BACKEND: a task in a container of a real Docker engine, with its default seccomp profile and
# capabilities, as root and as a plain user. The engine is started here, and nothing is left of it.
set -euo pipefail
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"

limit=${OSTEST_DOCKER_TIMEOUT:-$((180 + 10 * $(attacks | wc -l)))}
image=debian:bookworm-slim

[ $# = 2 ] || die 'usage: run.sh RUNNER MOCK-BACKEND'

need_root
need dockerd docker.io
need git git
tree=$("$root/tests/vm/tree.sh") || exit
[ -n "$tree" ] || exit 0 # it has said why

work=$(mktemp -d "$cache/docker.XXXXXX")
# In /tmp, since the path of a socket must be short.
sockets=$(mktemp -d)
export DOCKER_HOST=unix://$sockets/docker DOCKER_CONFIG=$work/config
engine=''
group=ostest-docker-$$
# What an engine makes wherever it is told to live; removed again if it was not there before.
traces=()
for trace in /etc/docker/key.json /etc/docker /opt/containerd /run/containerd /run/docker; do
    [ -e "$trace" ] || traces+=("$trace")
done

# Ends a process of the engine, and waits for it.
end() {
    local pid=$1 tries=0
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null && [ $((tries += 1)) -lt 100 ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
}

clean() {
    local code=$? container containerd=''
    # What cannot be cleaned must not keep the rest from it.
    set +e
    if [ -n "$engine" ]; then
        containerd=$(cat "$work/exec/containerd/containerd.pid" 2>/dev/null)
        for container in $(docker ps --quiet --all); do docker rm --force "$container" >/dev/null 2>&1; done
        end "$engine"
        # The engine ends its own containerd, unless it was killed.
        [ -z "$containerd" ] || end "$containerd"
    fi
    unmount_below "$work"
    if [ "$code" != 0 ] && [ -e "$work/log" ]; then
        cp "$work/log" "$cache/dockerd.log"
        say "the engine's log: $cache/dockerd.log"
    fi
    remove "$work"
    rm -rf "$sockets" "${traces[@]}"
    find /sys/fs/cgroup -depth -type d \( -name "$group" -o -path "*/$group/*" \) -exec rmdir {} + 2>/dev/null
}
trap clean EXIT

# No network of its own, and a storage driver that works on any filesystem: it must start inside of a container too.
start_engine() {
    local tries=0
    dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver vfs --data-root "$work/data" --exec-root "$work/exec" \
        --pidfile "$work/pid" --cgroup-parent "/$group" --host "$DOCKER_HOST" >"$work/log" 2>&1 &
    engine=$!
    until docker info >/dev/null 2>&1; do
        if ! kill -0 "$engine" 2>/dev/null || [ $((tries += 1)) -gt 120 ]; then
            tail -n 5 "$work/log" >&2
            return 1
        fi
        sleep 0.5
    done
}

# container NAME OPTION…: runs the scenario; its verdict counts as in tests/vm/run.sh.
container() {
    local name=$1 said=$work/said.$1 good bad
    shift
    echo "== $name"
    timeout --kill-after=5 "$limit" docker run --rm --network host --volume "$work/test:/srv/test:ro" "$@" "$image" \
        /bin/bash /srv/test/scenario.sh "$name" 2>&1 | tee "$said" || true
    good=$(grep -c '^OSTEST-VM: PASS ' "$said" || true)
    bad=$(grep -c '^OSTEST-VM: FAIL ' "$said" || true)
    if [ "$good" = 0 ] || [ "$bad" != 0 ] || ! grep -qx "OSTEST-VM: END $good passed $bad failed" "$said"; then
        failed+=("$name")
    fi
}

start_engine || skip 'no Docker engine starts here'
say "the engine runs after $SECONDS s"
# As the published image: no kernel, nothing of a machine's.
tar -C "$tree" --exclude=./boot --exclude=./usr/lib/modules --exclude='./dev/*' --exclude='./var/lib/apt/*' -c . |
    docker import - "$image" >/dev/null
say "the image is made after $SECONDS s"
stage "$work/test" "$(dirname "$0")/scenario.sh" "$@"
failed=()
container basic-root
container basic-user --user 1000
[ ${#failed[@]} = 0 ] || die "FAILED after $SECONDS s: ${failed[*]}"
say "all passed after $SECONDS s"
