/* @ATTACK: looks for the folders of other tasks and reads, writes and removes in them
 * @EXPECT: all=SUCCESS
 * @NEIGHBOUR: present
 */
#include "attack.h"
#include <ftw.h>

static struct stat own;

static int met(const char *path, const struct stat *status, int kind, struct FTW *at) {
    (void)kind, (void)at;
    if (!strstr(path, "precious")) return 0;
    (void)status;
    ATTEMPT(open(path, O_RDONLY), "read %s", path);
    ATTEMPT(open(path, O_WRONLY), "write %s", path);
    ATTEMPT(unlink(path), "remove %s", path);
    return 0;
}

int main(void) {
    char work[PATH_MAX], path[PATH_MAX + 300];
    stat(".", &own);
    const char *places[] = {outside("STATE"), "..", "../..", "../../..", "/tmp", "/proc/1/root/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(work, sizeof work, "%s%s", places[i], i ? "" : "/work");
        nftw(work, met, 32, FTW_PHYS);
        DIR *folder = opendir(work);
        if (!folder) {
            BLOCKED("%s: %s", work, strerror(errno));
            continue;
        }
        /* Whoever may list may only see what is the task's own. */
        struct dirent *entry;
        while ((entry = readdir(folder))) {
            if (strncmp(entry->d_name, "task-", 5)) continue;
            struct stat status;
            snprintf(path, sizeof path, "%s/%s/checkout/src", work, entry->d_name);
            if (!stat(path, &status) && status.st_ino == own.st_ino && status.st_dev == own.st_dev) continue;
            snprintf(path, sizeof path, "%s/%s/%s", work, entry->d_name, outside("MARK"));
            ATTEMPT(open(path, O_WRONLY | O_CREAT, 0600), "%s", path);
            snprintf(path, sizeof path, "%s/%s", work, entry->d_name);
            ATTEMPT(opendir(path) ? 0 : -1, "the list of %s", path);
            ATTEMPT(rename(path, "stolen"), "move %s", path);
        }
        closedir(folder);
    }
    TRIED("to find a neighbour");
    return 0;
}
