/* @ATTACK: hundreds of megabytes in the buffers of sockets and pipes, which are no process's memory
 * @EXPECT: all=FAILURE|ERROR bwrap-user=LEAKED basic-user=LEAKED
 * @SAYS bwrap-root: used more than 256 MB of memory
 * @SAYS basic-root: used more than 256 MB of memory
 */
#include "attack.h"
#include <sys/socket.h>

static long fill(void) {
    static char block[1 << 14];
    long total = 0;
    for (int i = 0; i < 100; i++) {
        int pair[2];
        ssize_t sent;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) break;
        while ((sent = write(pair[0], block, sizeof block)) > 0) total += sent;
    }
    return total;
}

int main(void) {
    long *all = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 24; i++) {
        if (fork()) continue;
        __atomic_add_fetch(all, fill(), __ATOMIC_RELAXED);
        sleep(1);
        _exit(0);
    }
    while (wait(NULL) > 0) {}
    if (*all > 300 << 20) LEAKED("%ld MB in sockets", *all >> 20);
    else BLOCKED("more than %ld MB", *all >> 20);
    return 1;
}
