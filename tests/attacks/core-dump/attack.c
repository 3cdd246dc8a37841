/* @ATTACK: dies with 100 MB in hand, so that a core file is written
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <sys/prctl.h>

int main(void) {
    if (fork() == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
        prctl(PR_SET_DUMPABLE, 1);
        char *memory = malloc(100 << 20);
        use(memory, 100);
        abort();
    }
    int status = 0;
    wait(&status);
    if (WCOREDUMP(status)) LEAKED("a core file");
    else BLOCKED("a core file");
    return 0;
}
