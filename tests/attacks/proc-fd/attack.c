/* @ATTACK: reaches for the descriptors of the suite and of all others: inherited, through /proc, by pidfd_getfd
 * @EXPECT: all=SUCCESS none=LEAKED
 * @NEIGHBOUR: present
 */
#include "attack.h"

int main(void) {
    char path[128], target[256];
    for (int fd = 3; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t got = readlink(path, target, sizeof target - 1);
        target[got > 0 ? got : 0] = 0;
        LEAKED("descriptor %d (%s) was inherited", fd, target);
    }
    pid_t pids[8192];
    int count = others(pids, 8192);
    for (int i = 0; i < count; i++) {
        int process = (int)syscall(SYS_pidfd_open, pids[i], 0);
        for (int fd = 0; fd < 64; fd++) {
            snprintf(path, sizeof path, "/proc/%d/fd/%d", pids[i], fd);
            int opened = open(path, O_WRONLY | O_NONBLOCK);
            if (opened >= 0) LEAKED("%s of %s can be written to", path, name_of(pids[i]));
            if (opened >= 0) close(opened);
            int taken = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);
            if (taken >= 0) LEAKED("descriptor %d of %s can be taken", fd, name_of(pids[i]));
            if (taken >= 0) close(taken);
        }
        if (process >= 0) close(process);
    }
    TRIED("%d processes", count);
    return 0;
}
