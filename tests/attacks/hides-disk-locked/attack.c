/* @ATTACK: fills the disk in a folder that nobody may look into
 * @EXPECT: all=SUCCESS|ERROR basic-root=SUCCESS|ERROR|LEAKED basic-user=SUCCESS|FAILURE|ERROR|LEAKED
 */
#include "fill.h"

int main(void) {
    mkdir("locked", 0700);
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "locked/%d", i);
        int fd = fill(name);
        chmod("locked", 0);
        if (fd >= 0) close(fd);
        usleep(300000);
        chmod("locked", 0700);
    }
    chmod("locked", 0);
    return filled_enough();
}
