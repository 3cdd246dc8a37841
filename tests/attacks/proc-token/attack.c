/* @ATTACK: looks for the backend's password and token in every process: command line, environment, memory, maps, descriptors
 * @EXPECT: all=SUCCESS none=LEAKED
 * @NEIGHBOUR: present
 */
#include "attack.h"

/* The password comes backwards, so that this file does not hold it. */
static char secret[256];

static void look(pid_t pid, const char *what, int private) {
    static char text[1 << 20];
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    ssize_t got = slurp(path, text, sizeof text);
    if (got > 0 && memmem(text, (size_t)got, secret, strlen(secret))) LEAKED("the password in %s (%s)", path, name_of(pid));
    else if (got > 0 && memmem(text, (size_t)got, "eyJ", 3)) LEAKED("a token in %s (%s)", path, name_of(pid));
    else if (got > 0 && private) LEAKED("%s of %s can be read", path, name_of(pid));
}

static void open_only(pid_t pid, const char *what) {
    char path[128], target[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    int fd = open(path, O_RDONLY);
    if (fd >= 0) LEAKED("%s of %s can be opened", path, name_of(pid));
    if (fd >= 0) close(fd);
    if (readlink(path, target, sizeof target) > 0) LEAKED("%s of %s can be read", path, name_of(pid));
}

/* That there are descriptors is no secret; what they are is. */
static void descriptors(pid_t pid) {
    char path[128], target[PATH_MAX];
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        if (readlink(path, target, sizeof target) > 0) LEAKED("%s of %s can be read", path, name_of(pid));
    }
}

int main(void) {
    const char *backwards = outside("SECRET_BACKWARDS");
    for (size_t i = 0, n = strlen(backwards); i < n && n < sizeof secret; i++) secret[i] = backwards[n - 1 - i];
    pid_t pids[8192];
    int count = others(pids, 8192);
    for (int i = 0; i < count; i++) {
        look(pids[i], "cmdline", 0);
        look(pids[i], "comm", 0);
        look(pids[i], "environ", 1);
        look(pids[i], "auxv", 1);
        look(pids[i], "maps", 1);
        open_only(pids[i], "mem");
        descriptors(pids[i]);
        open_only(pids[i], "root/");
        open_only(pids[i], "cwd/");
        open_only(pids[i], "exe");
    }
    for (char **variable = environ; *variable; variable++)
        if (strstr(*variable, secret) || strstr(*variable, "=eyJ")) LEAKED("%s", *variable);
    TRIED("%d processes", count);
    return 0;
}
