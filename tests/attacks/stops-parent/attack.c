/* @ATTACK: stops the suite, and all else that it may signal, so that no deadline of the suite's comes
 * @EXPECT: all=ERROR
 * @SAYS: timed out
 */
#include "attack.h"

int main(void) {
    kill(getppid(), SIGSTOP);
    kill(0, SIGSTOP);
    kill(-1, SIGSTOP);
    pause();
    return 1;
}
