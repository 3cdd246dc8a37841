/* @ATTACK: modes, owners, times and attributes of files outside: no writing, but a lock-out
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"
#include <sys/file.h>
#include <sys/xattr.h>

static void change(const char *path) {
    struct stat status;
    if (stat(path, &status)) {
        BLOCKED("%s: %s", path, strerror(errno));
        return;
    }
    ATTEMPT(chmod(path, status.st_mode & 07777), "mode of %s", path);
    ATTEMPT(utimensat(AT_FDCWD, path, (struct timespec[]){{.tv_nsec = UTIME_OMIT}, status.st_mtim}, 0), "times of %s", path);
    ATTEMPT(setxattr(path, "user.attack", "x", 1, 0), "attributes of %s", path);
    ATTEMPT(chown(path, status.st_uid, status.st_gid), "owner of %s", path);
}

int main(void) {
    char path[PATH_MAX];
    const char *parts[] = {"", "/spool", "/spool/claimed", "/environments", "/work", "/suite"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s%s", outside("STATE"), parts[i]);
        change(path);
    }
    change("/usr/bin/env");
    /* Its mode alone: a new time would be told as a change of the suite. */
    snprintf(path, sizeof path, "%s/run_tests.py", suite());
    ATTEMPT(chmod(path, 0444), "mode of %s", path);
    if (getenv("VIRTUAL_ENV")) change(getenv("VIRTUAL_ENV"));
    return 0;
}
