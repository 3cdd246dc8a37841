/* @ATTACK: 640 MB in files without a name, mapped by no process: a look at the processes shows nothing
 * @EXPECT: all=FAILURE|ERROR
 * @SAYS bwrap-root: used more than 256 MB of memory
 * @SAYS basic-root: used more than 256 MB of memory
 */
#include "attack.h"

#define PIECE (16 << 20)

int main(void) {
    static char block[1 << 16];
    long total = 0;
    memset(block, 1, sizeof block);
    for (int i = 0; i < 40; i++) {
        int fd = memfd_create("x", 0);
        if (fd < 0) break;
        for (long done = 0; done < PIECE && write(fd, block, sizeof block) > 0; done += (long)sizeof block)
            total += (long)sizeof block;
    }
    if (total < 256 << 20) BLOCKED("more than %ld MB: %s", total >> 20, strerror(errno));
    usleep(500000);
    if (total > 300 << 20) LEAKED("%ld MB in files without a name", total >> 20);
    return 1;
}
