#!/usr/bin/env bash
# run.sh SCENARIO [FILES…]: boots a virtual machine with a real systemd and cgroup v2, and runs a scenario in it as root.
# The files (programs, units) and the sample repositories are in /srv/test there. What counts is what the scenario says:
# `OSTEST-VM: PASS name`, `FAIL name why`, `END n passed m failed`.
set -euo pipefail
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/lib.sh"

# An attack takes half a minute at each of two levels on a busy machine, with the good student after it.
limit=${OSTEST_VM_TIMEOUT:-$((900 + 60 * $(attacks | wc -l)))}
memory=${OSTEST_VM_MEMORY:-2048}
# Emulation, not KVM: a virtual machine may have a /dev/kvm that opens and then stops the guest in the middle of its boot
# ("KVM internal error"), and no fallback list notices that.
accelerator=${OSTEST_VM_ACCEL:-tcg,thread=multi}

[ $# -gt 0 ] || die 'usage: run.sh SCENARIO [FILES…]'
scenario=$1
shift

need_root
need qemu-system-x86_64 qemu-system-x86
need mkfs.ext4 e2fsprogs
need git git
tree=$("$(dirname "$0")/tree.sh") || exit
[ -n "$tree" ] || exit 0 # it has said why

work=$(mktemp -d "$cache/run.XXXXXX")
qemu=''
clean() {
    set +e
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null
    remove "$work"
}
trap clean EXIT

# The first disk is the tree alone, made once and never written to.
disk=$tree.ext4
if [ ! -e "$disk" ]; then
    truncate -s 4G "$disk.$$"
    mkfs.ext4 -q -O ^has_journal -d "$tree" "$disk.$$"
    mv "$disk.$$" "$disk"
    say "image made after $SECONDS s"
fi

stage "$work/test" "$scenario" "$@"
for file in "$@"; do
    if [ -f "$file" ] && [ "$(head -c 4 "$file" | tail -c 3)" = ELF ]; then
        runs_in "$tree" "$file" || die "FAILED: $file was built for a newer system than the one in the machine"
    fi
done
truncate -s $(($(du -sm "$work/test" | cut -f1) * 5 / 4 + 64))M "$work/test.ext4"
mkfs.ext4 -q -O ^has_journal -d "$work/test" "$work/test.ext4"

console=$cache/console.log
said=$work/said
: >"$said"
say "booting after $SECONDS s"
# timeout: the machine does not outlive its time even if this script is killed.
timeout --kill-after=5 "$limit" qemu-system-x86_64 \
    -accel "$accelerator" -m "$memory" -smp 2 \
    -nodefaults -display none -no-reboot \
    -kernel "$(echo "$tree"/boot/vmlinuz-*)" -initrd "$(echo "$tree"/boot/initrd.img-*)" \
    -drive "file=$disk,if=virtio,format=raw,snapshot=on" \
    -drive "file=$work/test.ext4,if=virtio,format=raw,readonly=on" \
    -serial "file:$console" -serial "file:$said" \
    -append 'root=/dev/vda rw console=ttyS0 panic=-1 init=/lib/systemd/systemd systemd.log_target=console
        systemd.run="/bin/bash /srv/test/boot.sh" systemd.run_success_action=poweroff systemd.run_failure_action=poweroff' &
qemu=$!
tail --lines=+1 --follow --sleep-interval=0.2 --pid="$qemu" "$said"
code=0
wait "$qemu" || code=$?
qemu=''

# Neither the emulator's end nor the scenario's is a verdict: the lines are, and they must agree with their sum.
count() { grep -c "^OSTEST-VM: $1" "$said" || true; }
good=$(count 'PASS ')
bad=$(count 'FAIL ')
verdict=''
[ "$code" != 124 ] || verdict="the machine was ended after $limit s"
[ "$bad" = 0 ] || verdict="$bad of $((good + bad)) checks failed"
[ "$good" -gt 0 ] || verdict=${verdict:-nothing was checked}
grep -qx "OSTEST-VM: END $good passed $bad failed" "$said" || verdict=${verdict:-the scenario did not come to its end}
if [ -n "$verdict" ]; then
    say "the console's last lines (all of them: $console):"
    tail -n 60 "$console" | tr -d '\r' | sed 's/^/    /' >&2
    die "FAILED after $SECONDS s: $verdict"
fi
say "$good checks passed after $SECONDS s"
