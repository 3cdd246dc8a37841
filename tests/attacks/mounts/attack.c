/* @ATTACK: mounts, the old and the new way, chroot and pivot_root; makes the sandbox's folders writable again
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <sys/mount.h>
#include <sys/sysmacros.h>

int main(void) {
    mkdir("here", 0700);
    ATTEMPT(mount("none", "here", "tmpfs", 0, NULL), "a tmpfs");
    ATTEMPT(mount("/", "here", NULL, MS_BIND | MS_REC, NULL), "the root again");
    ATTEMPT(mount("none", "here", "proc", 0, NULL), "another /proc");
    ATTEMPT(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), "a root that can be written to");
    ATTEMPT(mount(NULL, suite(), NULL, MS_REMOUNT | MS_BIND, NULL), "a suite that can be written to");
    ATTEMPT(umount2("/proc", MNT_DETACH), "without /proc");
    ATTEMPT(umount2(suite(), MNT_DETACH), "without the suite's mount");
    ATTEMPT(syscall(428, AT_FDCWD, "/", 1), "open_tree");
    ATTEMPT(syscall(467, AT_FDCWD, "/", 1, NULL, 0), "open_tree_attr");
    ATTEMPT(syscall(429, AT_FDCWD, "here", AT_FDCWD, "here", 0), "move_mount");
    ATTEMPT(syscall(430, "tmpfs", 0), "fsopen");
    ATTEMPT(syscall(433, AT_FDCWD, "/", 0), "fspick");
    unsigned long attributes[4] = {0, 1, 0, 0};
    ATTEMPT(syscall(442, AT_FDCWD, "/", 0, attributes, sizeof attributes), "mount_setattr");
    ATTEMPT(syscall(SYS_pivot_root, ".", "here"), "pivot_root");
    ATTEMPT(chroot("here"), "chroot");
    ATTEMPT(mknod("device", S_IFBLK | 0600, makedev(254, 0)), "a block device");
    return 0;
}
