/* @ATTACK: reads the runner's state (claims, kept reports, logins), the system's secrets and other users' files
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"
#include <ftw.h>

static int met(const char *path, const struct stat *status, int kind, struct FTW *at) {
    (void)status, (void)at;
    if (kind == FTW_F && !access(path, R_OK)) {
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        if (fd >= 0) LEAKED("%s can be read", path);
        if (fd >= 0) close(fd);
    }
    return 0;
}

int main(void) {
    char path[PATH_MAX];
    const char *parts[] = {"spool", "kept", "lock", "log"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s/%s", outside("STATE"), parts[i]);
        ATTEMPT(open(path, O_RDONLY), "%s", path);
        nftw(path, met, 16, FTW_PHYS);
    }
    const char *files[] = {"/etc/shadow", "/root", "/root/.ssh", "/var/spool/cron", "/var/log/auth.log", "/dev/mem",
                           "/dev/kmsg",   "/dev/vda", "/proc/kcore", "/proc/kallsyms/x", "/sys/kernel/debug", "/home/x"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) ATTEMPT(open(files[i], O_RDONLY), "%s", files[i]);
    snprintf(path, sizeof path, "%s/.gitconfig", outside("FOLDER"));
    ATTEMPT(open(path, O_RDONLY), "%s", path);
    return 0;
}
