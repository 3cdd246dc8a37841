# shellcheck shell=bash
# A Docker engine of our own, for the scripts here: `engine_begin` starts it, and nothing is left of it when the script ends.
# To be sourced after tests/vm/lib.sh, whose functions it uses.

base=debian:bookworm-slim

# What is to be done before the engine ends; the scripts' own.
before_engine_ends() { :; }

# Ends a process of the engine, and waits for it.
end() {
    local pid=$1 tries=0
    kill "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null && [ $((tries += 1)) -lt 100 ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
}

engine_clean() {
    local code=$? container network containerd=''
    # What cannot be cleaned must not keep the rest from it.
    set +e
    if [ -n "$engine" ]; then
        before_engine_ends
        containerd=$(cat "$work/exec/containerd/containerd.pid" 2>/dev/null)
        for container in $(docker ps --quiet --all); do docker rm --force --volumes "$container" >/dev/null 2>&1; done
        # A network is a device of the machine's, which the engine would leave.
        for network in $(docker network ls --quiet --filter type=custom); do docker network rm "$network" >/dev/null 2>&1; done
        end "$engine"
        # The engine ends its own containerd, unless it was killed.
        [ -z "$containerd" ] || end "$containerd"
    fi
    unmount_below "$work"
    if [ "$code" != 0 ] && [ -e "$work/log" ]; then
        # shellcheck disable=SC2154 # of tests/vm/lib.sh
        cp "$work/log" "$cache/dockerd.log"
        say "the engine's log: $cache/dockerd.log"
    fi
    remove "$work"
    rm -rf "$sockets" "${traces[@]}"
    find /sys/fs/cgroup -depth -type d \( -name "$group" -o -path "*/$group/*" \) -exec rmdir {} + 2>/dev/null
}

# The fast way where overlays work, as on any machine; a container that is one itself has none.
storage_driver() {
    local try=$work/overlay
    mkdir -p "$try"/{lower,upper,work,merged}
    if mount -t overlay overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" "$try/merged" 2>/dev/null; then
        umount "$try/merged"
        echo overlay2
    else
        echo vfs
    fi
    rm -rf "$try"
}

# No network of its own, and a storage driver that works here: it must start inside of a container too.
start_engine() {
    local tries=0
    dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver "$(storage_driver)" --data-root "$work/data" \
        --exec-root "$work/exec" --pidfile "$work/pid" --cgroup-parent "/$group" --host "$DOCKER_HOST" >"$work/log" 2>&1 &
    engine=$!
    until docker info >/dev/null 2>&1; do
        if ! kill -0 "$engine" 2>/dev/null || [ $((tries += 1)) -gt 120 ]; then
            tail -n 5 "$work/log" >&2
            return 1
        fi
        sleep 0.5
    done
}

# import_base TREE: as the published image: no kernel, nothing of a machine's.
import_base() {
    tar -C "$1" --exclude=./boot --exclude=./usr/lib/modules --exclude='./dev/*' --exclude='./var/lib/apt/*' -c . |
        docker import - "$base" >/dev/null
}

# engine_begin: starts the engine; ends the script where none can be had. Sets $work, a folder that goes with it.
engine_begin() {
    local trace
    need_root
    need dockerd docker.io
    mkdir -p "$cache"
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
    trap engine_clean EXIT
    start_engine || skip 'no Docker engine starts here'
    say "the engine runs after $SECONDS s"
}
