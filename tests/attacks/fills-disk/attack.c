/* @ATTACK: fills the checkout, HOME and TMPDIR with files of 8 MB, up to 1 GB
 * @EXPECT: all=SUCCESS|ERROR
 */
#include "attack.h"

int main(void) {
    static char block[1 << 20];
    const char *folders[] = {".", getenv("HOME"), getenv("TMPDIR"), suite()};
    long total = 0;
    memset(block, 1, sizeof block);
    for (int number = 0; number < 128; number++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/full-%d", folders[number % 4], number);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        for (int i = 0; fd >= 0 && i < 8 && write(fd, block, sizeof block) == sizeof block; i++) total++;
        if (fd >= 0) close(fd);
    }
    if (total > 128) LEAKED("%ld MB on a disk of 64", total);
    else BLOCKED("more than %ld MB: %s", total, strerror(errno));
    return 0;
}
