/* @ATTACK: changes limits, priority and processors of processes outside; a limit of 1 s of processor time would kill them
 * @EXPECT: all=SUCCESS none=LEAKED
 * @NEIGHBOUR: present
 */
#include "attack.h"

int main(void) {
    pid_t runner = atoi(outside("RUNNER_PID"));
    struct rlimit limit;
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET(0, &processors);
    ATTEMPT(prlimit(runner, RLIMIT_CPU, NULL, &limit), "read the runner's limits");
    ATTEMPT(prlimit(runner, RLIMIT_CORE, &(struct rlimit){0, 0}, NULL), "set the runner's limits");
    ATTEMPT(prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit), "the limits of the suite's own process");
    ATTEMPT(setpriority(PRIO_PROCESS, (id_t)runner, 1), "the runner's priority");
    ATTEMPT(sched_setaffinity(runner, sizeof processors, &processors), "the runner's processors");
    ATTEMPT(syscall(SYS_ioprio_set, 1, runner, (2 << 13) | 4), "the runner's input and output");
    ATTEMPT(kill(runner, 0), "signal the runner");
    ATTEMPT(sched_setscheduler(runner, SCHED_OTHER, &(struct sched_param){0}), "the runner's scheduler");
    return 0;
}
