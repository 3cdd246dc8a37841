/* Writes files of 16 MB to a disk of 64 MB, until it is told to stop. */
#include "attack.h"

static long filled;

/* Up to 16 MB into an open file; returns its descriptor. */
static int fill_open(int fd) {
    static char block[1 << 20];
    memset(block, 1, sizeof block);
    for (int i = 0; fd >= 0 && i < 16 && write(fd, block, sizeof block) == sizeof block; i++) filled++;
    return fd;
}

/* The same into a new one. */
__attribute__((unused))
static int fill(const char *name) {
    return fill_open(open(name, O_RDWR | O_CREAT, 0600));
}

/* Says what came of it, after some time for whoever looks. */
static int filled_enough(void) {
    int why = errno;
    usleep(700000);
    if (filled > 80) LEAKED("%ld MB on a disk of 64", filled);
    else BLOCKED("more than %ld MB: %s", filled, strerror(why));
    return 0;
}
