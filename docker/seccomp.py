#!/usr/bin/env python3
"""Makes docker/seccomp.json, the profile with which bubblewrap works in a container: docs/container.md says how to use it.

    docker/seccomp.py > docker/seccomp.json     # from this machine's kernel headers (Debian: linux-libc-dev)

An engine's own profile denies new namespaces and mounts, without which there is no strong sandbox. This one lets those through
that bubblewrap needs, and denies by name what has no place in a test run, much of which an engine's profile gives to containers
with more rights. A call that is newer than the headers gets "not implemented", and the C library takes the older way.
"""

import json
import re
import sys
from pathlib import Path

HEADERS = ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h"]

# Denied with "operation not permitted".
DENIED = {
    "the kernel's keys, which no namespace keeps apart": "add_key keyctl request_key",
    "the kernel's own programs, counters and page faults": "bpf perf_event_open userfaultfd fanotify_init lookup_dcookie",
    "another kernel, or parts of it": "kexec_load kexec_file_load init_module finit_module delete_module create_module"
    " get_kernel_syms query_module",
    "the machine itself": "reboot swapon swapoff acct quotactl quotactl_fd syslog settimeofday clock_settime"
    " setdomainname vhangup iopl ioperm nfsservctl",
    "files by handle, past all folders": "open_by_handle_at name_to_handle_at",
    "namespaces of others": "setns",
    "mounts by the newer calls: bubblewrap has no need of them": "open_tree move_mount fsopen fsconfig fsmount fspick"
    " mount_setattr",
    "memory of other processes and of other processors": "kcmp pidfd_getfd process_madvise move_pages migrate_pages mbind"
    " get_mempolicy set_mempolicy set_mempolicy_home_node",
    "relics": "uselib ustat sysfs _sysctl modify_ldt",
}

# Denied as if the kernel did not know them: programs then take the older way.
UNKNOWN = {"a second way to all other calls, past any filter": "io_uring_setup io_uring_enter io_uring_register"}

# Only with these values of an argument.
ONLY = {
    # Local, IPv4, IPv6, and netlink, by which bubblewrap gives a task its loopback. No vsock: it leads to the host.
    "socket": (0, [1, 2, 10, 16]),
    # The plain one, a 32-bit one, without address randomization as debuggers want it, and the question which it is.
    "personality": (0, [0x0, 0x8, 0x40000, 0x20000, 0x20008, 0xFFFFFFFF]),
}

# Let through, though an engine's own profile would not for a plain user: what bubblewrap does.
NEEDED = "clone clone3 unshare mount umount2 pivot_root sethostname"


def known():
    """The names of all calls that the headers have."""
    names = set()
    for header in HEADERS:
        names |= set(re.findall(r"^#define __NR3?_?(?:64_)?([a-z_][a-z0-9_]*)\s", Path(header).read_text(), re.MULTILINE))
    return names - {"syscalls", "arch_specific_syscall"}


def words(reasons):
    return [name for names in reasons.values() for name in names.split()]


def rule(names, action, **more):
    return {"names": sorted(names), "action": action, **more}


def profile():
    names = known()
    assert len(names) > 350, "these are no headers of x86_64"
    refused = set(words(DENIED)) | set(words(UNKNOWN)) | set(ONLY)
    missing = sorted(set(NEEDED.split()) - names | set(NEEDED.split()) & refused)
    assert not missing, missing
    rules = [rule(names - refused, "SCMP_ACT_ALLOW")]
    rules += [
        rule(texts.split(), "SCMP_ACT_ERRNO", errnoRet=errno, comment=reason)
        for errno, reasons in ((1, DENIED), (38, UNKNOWN))
        for reason, texts in reasons.items()
    ]
    rules += [
        rule([name], "SCMP_ACT_ALLOW", args=[{"index": index, "value": value, "op": "SCMP_CMP_EQ"}])
        for name, (index, values) in ONLY.items()
        for value in values
    ]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": rules,
    }


json.dump(profile(), sys.stdout, indent=1)
print()
