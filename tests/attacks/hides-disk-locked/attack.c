/* @ATTACK: fills the disk in a folder that nobody may look into
 * @EXPECT: all=SUCCESS basic-root=ERROR basic-user=ERROR
 * @SAYS basic-root: killed: wrote more than 64 MB to disk
 * @SAYS basic-user: killed: wrote more than 64 MB to disk
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
        usleep(150000);
        chmod("locked", 0700);
    }
    chmod("locked", 0);
    return filled_enough();
}
