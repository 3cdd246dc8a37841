/* @ATTACK: a program and its child that hear no signal but SIGKILL, called by a suite without a time limit
 * @EXPECT: all=ERROR
 * @SAYS: timed out
 */
#include "attack.h"

int main(void) {
    for (int signal_ = 1; signal_ < 65; signal_++) signal(signal_, SIG_IGN);
    fork();
    elapsed();
    while (elapsed() < 40) usleep(10000);
    return 1;
}
