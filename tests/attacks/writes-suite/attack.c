/* @ATTACK: changes, replaces, removes and moves the suite's files and folders; makes links of them
 * @EXPECT: all=SUCCESS none=ERROR|LEAKED
 */
#include "attack.h"

int main(void) {
    const char *names[] = {"run_tests.py", "conftest.py", "helper.py", "tests/test_student.py", "requirements.txt"};
    const char *folder = suite();
    char path[PATH_MAX + 64], other[PATH_MAX + 64];
    struct stat status;
    if (stat(folder, &status)) {
        BLOCKED("%s: %s", folder, strerror(errno));
        return 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        ATTEMPT(open(path, O_WRONLY | O_APPEND), "write to %s", path);
        ATTEMPT(open(path, O_WRONLY | O_TRUNC), "truncate %s", path);
        ATTEMPT(truncate(path, 0), "truncate %s by name", path);
        /* Each rename and removal is of a file that the suite has used already; the check of its content comes last. */
        snprintf(other, sizeof other, "%s.moved", path);
        ATTEMPT(rename(path, other), "move %s away", path);
        FILE *file = fopen("mine.py", "w");
        if (file) fclose(file);
        ATTEMPT(rename("mine.py", path), "replace %s", path);
        ATTEMPT(syscall(SYS_renameat2, AT_FDCWD, "mine.py", AT_FDCWD, path, 2), "exchange %s", path);
        ATTEMPT(unlink(path), "remove %s", path);
        snprintf(other, sizeof other, "link-%zu", i);
        if (!link(path, other)) ATTEMPT(open(other, O_WRONLY | O_APPEND), "write to %s by a link", path);
        else BLOCKED("a link to %s: %s", path, strerror(errno));
    }
    const char *folders[] = {"", "/tests"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s%s", folder, folders[i]);
        snprintf(other, sizeof other, "%s%s-moved", folder, folders[i]);
        ATTEMPT(rename(path, other), "move %s away", path);
        ATTEMPT(rename(path, "stolen"), "move %s here", path);
    }
    return 0;
}
