/* @ATTACK: takes 4 GB in one process
 * @EXPECT: all=FAILURE|ERROR
 * @SAYS: used more than 256 MB of memory
 */
#include "attack.h"

int main(void) {
    for (int i = 0; i < 64; i++) {
        char *memory = malloc(64 << 20);
        if (!memory) return 1;
        use(memory, 64);
    }
    LEAKED("4 GB of memory");
    return 1;
}
