/* @ATTACK: paths of 4,000 bytes, and folders in folders far deeper than any path: 3,000 levels
 * @EXPECT: all=SUCCESS|FAILURE|ERROR
 */
#include "attack.h"

static int nest(const char *name, int levels) {
    for (int level = 0; level < levels; level++)
        if (mkdir(name, 0700) || chdir(name)) return level;
    int fd = open("bottom", O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) close(fd);
    return levels;
}

int main(void) {
    char name[256];
    int here = open(".", O_RDONLY);
    memset(name, 'n', 250);
    name[250] = 0;
    TRIED("%d levels of 250 bytes", nest(name, 15));
    if (fchdir(here)) return 1;
    TRIED("%d levels of one byte", nest("d", 3000));
    const char *others[] = {getenv("HOME"), getenv("TMPDIR")};
    for (int i = 0; i < 2; i++)
        if (others[i] && !chdir(others[i])) TRIED("%d levels in %s", nest("d", 2000), others[i]);
    return 0;
}
