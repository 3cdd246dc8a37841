/* @ATTACK: fills the disk with files that have no name any more, but are open
 * @EXPECT: all=SUCCESS basic-root=ERROR basic-user=ERROR
 * @SAYS basic-root: killed: wrote more than 64 MB to disk
 * @SAYS basic-user: killed: wrote more than 64 MB to disk
 */
#include "fill.h"

int main(void) {
    for (int i = 0; i < 8; i++) {
        fill("unnamed");
        unlink("unnamed");
    }
    return filled_enough();
}
