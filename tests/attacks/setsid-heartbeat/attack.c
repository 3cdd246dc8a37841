/* @ATTACK: a daemon, forked twice, that writes a heartbeat wherever it can and hears no signal
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"

int main(void) {
    if (!in_background()) {
        usleep(200000);
        TRIED("a daemon");
        return 0;
    }
    for (int signal_ = 1; signal_ < 65; signal_++) signal(signal_, SIG_IGN);
    const char *folders[] = {".", "/tmp", "/var/tmp", "/dev/shm", getenv("HOME"), getenv("TMPDIR"), "/run", ".."};
    elapsed();
    while (elapsed() < 60) {
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s/%s-heartbeat", folders[i] ? folders[i] : ".", outside("MARK"));
            int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
            if (fd >= 0) dprintf(fd, "%d\n", getpid());
            if (fd >= 0) close(fd);
        }
        usleep(20000);
    }
    return 0;
}
