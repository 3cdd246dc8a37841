/* @ATTACK: takes 120 MB in each of three processes; none is over the limit of 256 MB alone
 * @EXPECT: all=FAILURE|ERROR
 * @SAYS: used more than 256 MB of memory
 */
#include "attack.h"

int main(void) {
    int all = 1;
    for (int i = 0; i < 3; i++) {
        if (fork()) continue;
        char *memory = malloc(120 << 20);
        if (!memory) _exit(1);
        use(memory, 120);
        sleep(2);
        _exit(0);
    }
    for (int i = 0; i < 3; i++) {
        int status = 1;
        wait(&status);
        all = all && status == 0;
    }
    if (all) LEAKED("360 MB in three processes");
    return 1;
}
