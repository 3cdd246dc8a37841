/* @ATTACK: opens pseudo-terminals, of which the kernel has so many for the whole machine
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"

int main(void) {
    int total = 0, pipes[2];
    if (pipe(pipes)) return 1;
    /* Several processes: one may not have so many files open. */
    for (int i = 0; i < 4; i++) {
        if (fork()) continue;
        int count = 0;
        while (count < 100 && open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0) count++;
        if (write(pipes[1], &count, sizeof count) < 0) _exit(1);
        sleep(1);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        int count = 0;
        if (read(pipes[0], &count, sizeof count) != sizeof count) return 1;
        total += count;
    }
    while (wait(NULL) > 0);
    if (total > 64) LEAKED("%d pseudo-terminals", total);
    else BLOCKED("more than %d pseudo-terminals", total);
    return 0;
}
