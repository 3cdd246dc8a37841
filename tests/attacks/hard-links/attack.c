/* @ATTACK: hard and symbolic links to files outside, under the names that the suite and the runner will open
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"

int main(void) {
    const char *targets[] = {"/etc/passwd", "/etc/shadow", "/usr/bin/env", outside("RUNNER"), outside("UNIX_PATH")};
    char path[PATH_MAX + 64], name[64];
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        snprintf(name, sizeof name, "hard-%zu", i);
        ATTEMPT(link(targets[i], name), "a link to %s", targets[i]);
        snprintf(name, sizeof name, "soft-%zu", i);
        if (!symlink(targets[i], name)) ATTEMPT(open(name, O_WRONLY), "%s by a link", targets[i]);
    }
    snprintf(path, sizeof path, "%s/spool", outside("STATE"));
    if (!symlink(path, "spool")) ATTEMPT(open("spool", O_RDONLY), "the spool by a link");
    /* For whoever clears up: a link must be removed and not what it leads to; a loop must end. */
    if (symlink("/", "root") || symlink(".", "loop") || symlink("loop/loop/loop", "longer-loop")) TRIED("no links");
    const char *home = getenv("HOME");
    snprintf(path, sizeof path, "%s/link", home ? home : ".");
    if (symlink(outside("FOLDER"), path)) TRIED("no link in HOME");
    return 0;
}
