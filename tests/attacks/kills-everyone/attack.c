/* @ATTACK: kills everything that it may signal: at once, one by one by number, and by descriptor
 * @EXPECT: all=ERROR
 * @NEIGHBOUR: present
 */
#include "attack.h"

int main(void) {
    /* Those outside first: the suite goes last, and this program with it. */
    pid_t pids[8192], suite_ = getppid();
    int count = others(pids, 8192);
    pid_t runner = atoi(outside("RUNNER_PID"));
    if (runner > 1) kill(runner, SIGKILL);
    for (int i = 0; i < count; i++) {
        if (pids[i] == suite_ || pids[i] == 1) continue;
        int fd = (int)syscall(SYS_pidfd_open, pids[i], 0);
        if (fd >= 0) syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        kill(-pids[i], SIGKILL);
        kill(pids[i], SIGKILL);
    }
    kill(-1, SIGKILL);
    return 1;
}
