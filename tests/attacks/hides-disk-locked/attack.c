/* @ATTACK: fills the disk in a folder that nobody may look into
 * @EXPECT: all=SUCCESS basic-root=ERROR basic-user=ERROR
 * @SAYS basic-root: killed: wrote more than 64 MB to disk
 * @SAYS basic-user: killed: wrote more than 64 MB to disk
 */
#include "fill.h"

int main(void) {
    int open_files[8];
    mkdir("locked", 0700);
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "locked/%d", i);
        open_files[i] = open(name, O_RDWR | O_CREAT, 0600);
    }
    /* From now on nobody sees what is in it; and when they are closed, not even who has it open. */
    chmod("locked", 0);
    for (int i = 0; i < 8; i++) close(fill_open(open_files[i]));
    /* Such a folder is looked into once a second. */
    usleep(900000);
    return filled_enough();
}
