/* @ATTACK: new namespaces, by unshare, clone and setns; in a user namespace of its own everybody is root
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"

static int child(void *nothing) {
    (void)nothing;
    return 0;
}

int main(void) {
    static char stack[65536];
    const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP,
                         CLONE_NEWUSER | CLONE_NEWNS};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        ATTEMPT(unshare(flags[i]), "unshare %x", flags[i]);
        ATTEMPT(clone(child, stack + sizeof stack, flags[i] | SIGCHLD, NULL), "clone %x", flags[i]);
        while (waitpid(-1, NULL, __WALL) > 0) {}
    }
    const char *kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
    pid_t whose[] = {1, getppid(), atoi(outside("RUNNER_PID"))};
    for (size_t i = 0; i < 21; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/ns/%s", whose[i / 7], kinds[i % 7]);
        int fd = open(path, O_RDONLY);
        ATTEMPT(fd < 0 ? -1 : setns(fd, 0), "%s", path);
        int process = (int)syscall(SYS_pidfd_open, whose[i / 7], 0);
        ATTEMPT(process < 0 ? -1 : setns(process, CLONE_NEWNET), "setns by process %d", whose[i / 7]);
    }
    return 0;
}
