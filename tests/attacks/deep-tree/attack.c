/* @ATTACK: folders in folders, 20,000 levels: for whoever removes or measures them by calling itself, or opens one a level
 * @EXPECT: all=SUCCESS|FAILURE|ERROR
 */
#include "attack.h"

#define CHAINS 20
#define LEVELS 1000

int main(void) {
    int bottoms[CHAINS], levels = 0, here = open(".", O_RDONLY);
    char name[32];
    /* Many short chains, since the way up from each new folder is looked at; then one is hung below the other. */
    for (int chain = 0; chain < CHAINS; chain++) {
        snprintf(name, sizeof name, "c%d", chain);
        if (mkdir(name, 0700) || chdir(name)) break;
        for (int level = 0; level < LEVELS; level++, levels++)
            if (mkdir("d", 0700) || chdir("d")) break;
        bottoms[chain] = open(".", O_RDONLY);
        if (fchdir(here)) return 1;
    }
    int joined = 0;
    for (int chain = CHAINS - 1; chain > 0; chain--) {
        snprintf(name, sizeof name, "c%d", chain);
        if (!renameat(here, name, bottoms[chain - 1], "e")) joined++;
    }
    TRIED("%d levels in %d chains: %s", levels, joined, strerror(errno));
    return 0;
}
