/* @ATTACK: becomes somebody else: setuid and its kin, setuid programs, capabilities
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <grp.h>
#include <sys/prctl.h>

static long field(const char *name, int base) {
    char text[8192];
    ssize_t got = slurp("/proc/self/status", text, sizeof text - 1);
    text[got > 0 ? got : 0] = 0;
    char *at = strstr(text, name);
    return at ? strtol(at + strlen(name), NULL, base) : -1;
}

int main(void) {
    const char *sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (field(sets[i], 16)) LEAKED("%s %lx", sets[i], field(sets[i], 16));
    if (field("NoNewPrivs:", 10) != 1) LEAKED("new privileges");
    /* Only root may give up this one; without new privileges it is worth nothing. */
    if (field("CapBnd:", 16) && field("NoNewPrivs:", 10) != 1) LEAKED("CapBnd %lx", field("CapBnd:", 16));
    if (field("Seccomp:", 10) != 2) LEAKED("no filter");
    if (getuid() && getgroups(0, NULL) > 1) LEAKED("%d groups", getgroups(0, NULL));
    if (getuid()) {
        ATTEMPT(setuid(0), "setuid");
        ATTEMPT(setresuid(0, 0, 0), "setresuid");
        ATTEMPT(setgid(0), "setgid");
    }
    gid_t group = 12345;
    ATTEMPT(setgroups(1, &group), "setgroups");
    ATTEMPT(setuid(54322), "another user");
    ATTEMPT(chown("outside", 12345, 12345), "chown");
    ATTEMPT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 6, 0, 0), "an ambient capability");
    uid_t before = geteuid();
    /* A program that is owned by root with its bit set: it must run as this user. */
    const char *lines[] = {"/usr/bin/mount -t tmpfs none .", "/bin/su -c id root </dev/null", "/usr/bin/passwd -S root", "/usr/bin/newgrp root </dev/null",
                           "/usr/bin/sudo -n id", "/usr/bin/chsh -s /bin/sh root </dev/null", "/usr/bin/crontab -l"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[256];
        snprintf(line, sizeof line, "exec >/dev/null 2>&1; exec timeout 1 %s", lines[i]);
        if (system(line)) BLOCKED("%s", lines[i]);
        else if (strstr(lines[i], "newgrp")) TRIED("%s", lines[i]);
        else LEAKED("%s", lines[i]);
    }
    if (geteuid() != before) LEAKED("another user");
    return 0;
}
