/* @ATTACK: kills the suite after it has forged its report
 * @EXPECT: all=ERROR
 * @SAYS: SIGKILL
 */
#include "attack.h"

int main(void) {
    forge(report());
    kill(getppid(), SIGKILL);
    return 0;
}
