/* @ATTACK: a process in the background makes 10 GB of the report, as often as it is written
 * @EXPECT: all=ERROR|FAILURE
 */
#include "attack.h"

int main(void) {
    const char *path = strdup(report());
    if (!in_background()) {
        TRIED("10 GB in %s", path);
        return 0;
    }
    signal(SIGXFSZ, SIG_IGN);
    elapsed();
    while (elapsed() < 30) {
        /* As large as it may be, at once and bit by bit. */
        for (off_t size = (off_t)10 << 30; size > 1 << 20 && truncate(path, size); size /= 2) {}
        int fd = open(path, O_WRONLY | O_APPEND);
        static char block[1 << 20];
        while (fd >= 0 && write(fd, block, sizeof block) > 0) {}
        if (fd >= 0) close(fd);
        usleep(500);
    }
    return 0;
}
