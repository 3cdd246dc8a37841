/* @ATTACK: forks for ever, and so does every child
 * @EXPECT: all=ERROR|FAILURE
 * @SAYS: timed out
 */
#include "attack.h"

/* Far more than any limit, and few enough for this machine. */
#define MOST 3000

int main(void) {
    int *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    elapsed();
    while (elapsed() < 20) {
        if (__atomic_load_n(count, __ATOMIC_RELAXED) > MOST) {
            LEAKED("%d processes", MOST);
            return 1;
        }
        if (fork() == 0) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    }
    return 1;
}
