/* @ATTACK: a process in the background replaces the report by one where all passes, again and again until after the end
 * @EXPECT: all=FAILURE
 * @SAYS: the exam said '41
 * @PASSES: test_attack test_later
 */
#include "attack.h"

int main(void) {
    const char *path = strdup(report());
    if (!in_background()) {
        TRIED("forging %s", path);
        return 0;
    }
    elapsed();
    while (elapsed() < 30) {
        struct stat status;
        if (!stat(path, &status)) forge(path);
        usleep(200);
    }
    return 0;
}
