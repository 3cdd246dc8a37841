/* The neighbour: holds something precious while another task does its worst, until the harness asks for it. */
#include "attack.h"
#include <semaphore.h>
#include <sys/prctl.h>

int main(void) {
    char text[64] = "";
    sigset_t asked;
    sigemptyset(&asked);
    sigaddset(&asked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &asked, NULL);
    int fd = open("precious", O_RDWR | O_CREAT, 0600);
    if (write(fd, outside("MARK"), strlen(outside("MARK"))) < 1) return 1;
    /* Where it may have them. */
    shm_open("/precious", O_RDWR | O_CREAT, 0600);
    sem_open("/precious", O_CREAT, 0600, 1);
    /* By this name the harness finds it. */
    prctl(PR_SET_NAME, outside("NAME"));
    struct timespec patience = {45, 0};
    if (sigtimedwait(&asked, NULL, &patience) != SIGUSR1) return 2;
    close(fd);
    if (slurp("precious", text, sizeof text - 1) < 1 || strcmp(text, outside("MARK"))) LEAKED("precious was changed: %s", text);
    char stranger[PATH_MAX];
    snprintf(stranger, sizeof stranger, "../%s", outside("MARK"));
    if (!access(stranger, F_OK)) LEAKED("somebody was here");
    sem_unlink("/precious");
    shm_unlink("/precious");
    TRIED("waiting");
    return 0;
}
