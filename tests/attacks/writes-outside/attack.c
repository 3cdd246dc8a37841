/* @ATTACK: writes to /usr, /etc, the runner's state and spool, its program, the environment, cron, the kernel's files
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"

int main(void) {
    char path[PATH_MAX];
    const char *state = outside("STATE"), *environment = getenv("VIRTUAL_ENV");
    const char *folders[] = {"/usr", "/usr/bin", "/usr/local/bin", "/etc", "/etc/cron.d", "/var/spool/cron", "/root", "/home", "/boot", "/opt",
                             "/proc", "/sys", "/dev", "/dev/pts", "/", "/run", "/var/lib", state, outside("FOLDER"), environment ? environment : "/x"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], outside("MARK"));
        /* A folder of the sandbox's own may be writable; it is so where the harness finds nothing. */
        int made = open(path, O_WRONLY | O_CREAT, 0644);
        if (made >= 0) LEAKED("%s was made", path);
        else BLOCKED("%s: %s", path, strerror(errno));
    }
    const char *parts[] = {"spool/claimed", "spool/results", "spool/rejected", "kept", "work", "environments", "suite"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s/%s/%s.json", state, parts[i], outside("MARK"));
        ATTEMPT(open(path, O_WRONLY | O_CREAT, 0644), "%s", path);
        snprintf(path, sizeof path, "%s/%s", state, parts[i]);
        char to[PATH_MAX + 8];
        snprintf(to, sizeof to, "%s-moved", path);
        ATTEMPT(rename(path, to), "move %s", path);
    }
    const char *files[] = {"/usr/bin/env", "/bin/sh", "/etc/passwd", "/etc/ld.so.preload", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
                           "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper", "/dev/vda", "/dev/kmsg", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs", outside("RUNNER")};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) ATTEMPT(open(files[i], O_WRONLY | O_APPEND), "write to %s", files[i]);
    if (environment) {
        snprintf(path, sizeof path, "%s/bin/python", environment);
        ATTEMPT(unlink(path), "remove %s", path);
        snprintf(path, sizeof path, "%s/pyvenv.cfg", environment);
        ATTEMPT(open(path, O_WRONLY | O_APPEND), "write to %s", path);
    }
    ATTEMPT(open("/proc/self/exe", O_WRONLY) < 0 ? -1 : 0, "this program while it runs");
    return 0;
}
