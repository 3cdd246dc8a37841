/* @ATTACK: traces its parent, the suite's helpers, a neighbour, and writes into their memory
 * @EXPECT: all=SUCCESS none=LEAKED
 * @NEIGHBOUR: present
 */
#include "attack.h"
#include <sys/ptrace.h>
#include <sys/uio.h>

int main(void) {
    pid_t pids[8192];
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)0x1000, 1};
    int count = others(pids, 8192);
    for (int i = 0; i < count; i++) {
        if (!ptrace(PTRACE_SEIZE, pids[i], NULL, NULL)) LEAKED("%s (%d) can be traced", name_of(pids[i]), pids[i]);
        /* An address where nothing is: whoever may look is told so. */
        if (process_vm_readv(pids[i], &here, 1, &there, 1, 0) >= 0 || errno == EFAULT)
            LEAKED("memory of %s (%d) can be read", name_of(pids[i]), pids[i]);
        if (process_vm_writev(pids[i], &here, 1, &there, 1, 0) >= 0 || errno == EFAULT)
            LEAKED("memory of %s (%d) can be written", name_of(pids[i]), pids[i]);
    }
    TRIED("%d processes", count);
    return 0;
}
