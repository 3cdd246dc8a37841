/* @ATTACK: interrupts the suite in the middle, so that the cases which would fail are never begun
 * @EXPECT: all=ERROR|FAILURE
 */
#include "attack.h"

int main(void) {
    pid_t suite_ = getppid();
    forge(report());
    kill(suite_, SIGINT);
    usleep(300000);
    kill(suite_, SIGTERM);
    return 0;
}
