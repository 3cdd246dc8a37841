/* @ATTACK: shared memory, semaphores and queues that belong to no process and would stay
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(void) {
    /* Others judge: nothing of it may be left. */
    int memory = shmget(IPC_PRIVATE, 8 << 20, IPC_CREAT | 0666);
    void *at = memory < 0 ? (void *)-1 : shmat(memory, NULL, 0);
    if (at != (void *)-1) memset(at, 1, 8 << 20);
    TRIED("shared memory: %d, %s", memory, strerror(errno));
    TRIED("semaphores: %d, %s", semget(IPC_PRIVATE, 8, IPC_CREAT | 0666), strerror(errno));
    TRIED("a queue: %d, %s", msgget(IPC_PRIVATE, IPC_CREAT | 0666), strerror(errno));
    char name[256];
    snprintf(name, sizeof name, "/%s", outside("MARK"));
    TRIED("a named queue: %d, %s", mq_open(name, O_CREAT | O_RDWR, 0666, NULL), strerror(errno));
    return 0;
}
