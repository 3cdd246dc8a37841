/* @ATTACK: fills the disk with files that have no name any more, but are open
 * @EXPECT: all=SUCCESS|ERROR basic-root=SUCCESS|ERROR|LEAKED basic-user=SUCCESS|FAILURE|ERROR|LEAKED
 */
#include "fill.h"

int main(void) {
    for (int i = 0; i < 8; i++) {
        fill("unnamed");
        unlink("unnamed");
    }
    return filled_enough();
}
