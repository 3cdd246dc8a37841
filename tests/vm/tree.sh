#!/usr/bin/env bash
# Makes a Debian tree with systemd, a kernel and all that a suite needs, without network from then on; prints its path.
# It is kept in $OSTEST_VM_CACHE (default: vm/ in cargo's target folder) until this file changes.
set -euo pipefail
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

release=bookworm
packages=(
    systemd systemd-sysv dbus udev
    python3 python3-venv gcc make libc6-dev
    bubblewrap ca-certificates iproute2 procps
    linux-image-cloud-amd64
)
# What the sample suite's requirements.txt comes to, for the tree's python; a pytest without the large pygments.
wheels=('pytest<8.4')
python=3.11

recipe=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
tree=$cache/tree-$recipe

# Where apt takes the release from on this machine; nothing here knows a mirror by name.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
        awk -v release="$release" '$2 == release && $3 == "main" && !found++ { print $1 }'
}

bootstrap() {
    local from proxy='' joined
    from=$(mirror)
    [ -n "$from" ] || skip "apt is configured with no mirror of $release"
    # debootstrap downloads by itself, and knows the environment only.
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    [ -z "$proxy" ] || export http_proxy="$proxy"
    joined=$(IFS=, && printf '%s' "${packages[*]}")
    env -u TMPDIR LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        debootstrap --variant=minbase --include="$joined" "$release" "$new" "$from" >"$cache/debootstrap.log" 2>&1 || {
        tail -n 20 "$cache/debootstrap.log" >&2
        skip 'debootstrap failed'
    }
}

# download FOLDER REQUIREMENT…
download() {
    python3 -m pip download --quiet --only-binary=:all: --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
        --python-version "$python" --dest "$1" "${@:2}" || skip "pip could not download ${*:2}"
}

furnish() {
    download "$new/srv/wheels" "${wheels[@]}"
    # Aside from the PATH, so that a scenario chooses: pip takes minutes under emulation.
    download "$new/tmp/uv" uv
    python3 -m zipfile -e "$new"/tmp/uv/*.whl "$new/tmp/uv"
    install -D "$new"/tmp/uv/*.data/scripts/uv "$new/opt/uv/uv"
    rm -r "$new/tmp/uv"
    # Both sides agree on it: the plain user of the scenarios.
    chroot "$new" useradd --uid 1000 --user-group --create-home --shell /bin/bash tester
    echo vm >"$new/etc/hostname"
    printf '127.0.0.1 localhost vm\n::1 localhost\n' >"$new/etc/hosts"
    rm -f "$new/etc/resolv.conf"
    # run.sh gives what differs between runs on a second disk, so that the first is made once.
    mkdir "$new/srv/test"
    printf '/dev/vda / ext4 defaults 0 0\n/dev/vdb /srv/test ext4 ro 0 0\n' >"$new/etc/fstab"
    # No timer of the system's wakes up in the middle of a scenario.
    rm -f "$new"/etc/systemd/system/timers.target.wants/*
    rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/* "$new"/usr/share/{doc,man,locale}
}

need_root
need debootstrap debootstrap
need python3 'python3 python3-pip'
mkdir -p "$cache"
# One at a time; the others find it made.
exec 9>"$cache/lock"
flock 9
if [ ! -d "$tree" ]; then
    new=$tree.new
    trap 'remove "$new"' EXIT
    for old in "$cache"/tree-*; do
        [ ! -e "$old" ] || remove "$old"
    done
    bootstrap
    furnish
    mv "$new" "$tree"
    say "made in $SECONDS s, $(du -sh "$tree" | cut -f1)"
fi
echo "$tree"
