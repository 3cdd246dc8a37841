/* @ATTACK: a chain of processes, each of which forks the next and dies at once: no list ever holds the living one
 * @EXPECT: all=SUCCESS|FAILURE
 */
#include "attack.h"

int main(void) {
    for (int chain = 0; chain < 4; chain++) {
        if (!in_background()) continue;
        elapsed();
        while (elapsed() < 40) {
            /* In turns with and without a session of its own. */
            pid_t child = fork();
            if (child > 0) _exit(0);
            if (child == 0 && getpid() % 2) setsid();
        }
        _exit(0);
    }
    TRIED("four chains");
    return 0;
}
