/* @ATTACK: fills /dev/shm, /tmp, /var/tmp, /run and what else a machine shares, up to 256 MB each
 * @EXPECT: all=SUCCESS|ERROR
 */
#include "attack.h"

int main(void) {
    static char block[1 << 20];
    const char *folders[] = {"/dev/shm", "/tmp", "/var/tmp", "/run", "/run/lock", "/dev", "/dev/mqueue", "/"};
    memset(block, 1, sizeof block);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        long total = 0;
        for (int number = 0; number < 32; number++) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s/%s-%d", folders[i], outside("MARK"), number);
            int fd = open(path, O_WRONLY | O_CREAT, 0600);
            for (int k = 0; fd >= 0 && k < 8 && write(fd, block, sizeof block) == sizeof block; k++) total++;
            if (fd >= 0) close(fd);
        }
        if (total > 80) LEAKED("%ld MB in %s", total, folders[i]);
        else BLOCKED("more than %ld MB in %s: %s", total, folders[i], strerror(errno));
    }
    return 0;
}
