/* @ATTACK: gives one page of each of 200 huge ones to a pipe and forgets the rest: 400 MB that are no process's memory
 * @EXPECT: all=FAILURE|ERROR bwrap-user=SUCCESS basic-user=SUCCESS
 * @SAYS bwrap-root: used more than 256 MB of memory
 * @SAYS basic-root: used more than 256 MB of memory
 */
#include "attack.h"
#include <sys/uio.h>

#define HUGE (2l << 20)

int main(void) {
    int given = 0, pipes[2];
    for (int i = 0; i < 200; i++) {
        char *both = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (both == MAP_FAILED || (i % 8 == 0 && pipe(pipes))) break;
        char *page = (char *)(((uintptr_t)both + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
        madvise(page, HUGE, MADV_HUGEPAGE);
        memset(page, 1, HUGE);
        struct iovec piece = {page, 4096};
        errno = 0;
        if (vmsplice(pipes[1], &piece, 1, 0) < 0) break;
        munmap(both, 2 * HUGE);
        given++;
    }
    if (given < 128) BLOCKED("more than %d huge pages in pipes: %s", given, strerror(errno));
    else LEAKED("%ld MB in pipes", given * HUGE >> 20);
    return 0;
}
