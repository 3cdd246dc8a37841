/* @ATTACK: fills the disk in a folder that lies deeper than any path
 * @EXPECT: all=SUCCESS basic-root=ERROR basic-user=ERROR
 * @SAYS basic-root: killed: wrote more than 64 MB to disk
 * @SAYS basic-user: killed: wrote more than 64 MB to disk
 */
#include "fill.h"

int main(void) {
    char name[256];
    memset(name, 'n', 250);
    name[250] = 0;
    for (int level = 0; level < 18; level++)
        if (mkdir(name, 0700) || chdir(name)) return 1;
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%d", i);
        int fd = fill(name);
        if (fd >= 0) close(fd);
    }
    return filled_enough();
}
