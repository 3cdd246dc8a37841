/* @ATTACK: uses the names of semaphores and shared memory that another task uses at the same time
 * @EXPECT: all=SUCCESS none=LEAKED
 * @NEIGHBOUR: present
 * @ALONE: present, since what other neighbours hold has the same names
 */
#include "attack.h"
#include <semaphore.h>

int main(void) {
    int fd = shm_open("/precious", O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) TRIED("shared memory is its own");
    else if (errno == EEXIST) LEAKED("another task has shared memory of that name");
    else BLOCKED("shared memory: %s", strerror(errno));
    sem_t *semaphore = sem_open("/precious", O_CREAT | O_EXCL, 0600, 1);
    if (semaphore != SEM_FAILED) TRIED("a semaphore is its own");
    else if (errno == EEXIST) LEAKED("another task has a semaphore of that name");
    else BLOCKED("a semaphore: %s", strerror(errno));
    /* What is there of others need not have the name that was looked for. */
    DIR *folder = opendir("/dev/shm");
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char path[PATH_MAX];
        struct stat status;
        snprintf(path, sizeof path, "/dev/shm/%s", entry->d_name);
        if (strstr(path, "precious") && !stat(path, &status) && status.st_uid != getuid()) LEAKED("%s", path);
    }
    return 0;
}
