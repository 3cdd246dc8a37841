/* @ATTACK: system calls with no place in a lab: io_uring, keys, bpf, perf, userfaultfd, handles, modules, the clock, a terminal's input
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"
#include <linux/perf_event.h>
#include <sys/ioctl.h>

int main(void) {
    char buffer[4096] = {0};
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = 1, .exclude_kernel = 1};
    ATTEMPT(syscall(SYS_io_uring_setup, 4, buffer), "io_uring_setup");
    unsigned long context = 0;
    ATTEMPT(syscall(SYS_io_setup, 64, &context), "io_setup, of which the machine has so many");
    ATTEMPT(syscall(SYS_keyctl, 0, -3, 1), "keyctl");
    ATTEMPT(syscall(SYS_add_key, "user", outside("MARK"), "x", 1, -4), "add_key");
    ATTEMPT(syscall(SYS_request_key, "user", outside("MARK"), NULL, -4), "request_key");
    /* A map of one entry. */
    memcpy(buffer, (unsigned[]){2, 4, 4, 1}, 16);
    ATTEMPT(syscall(SYS_bpf, 0, buffer, 64), "bpf");
    ATTEMPT(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), "perf_event_open");
    ATTEMPT(syscall(SYS_userfaultfd, 1), "userfaultfd");
    ATTEMPT(syscall(SYS_fanotify_init, 0x200, 0), "fanotify_init");
    int mount_id = 0;
    struct { unsigned size; int type; unsigned char bytes[128]; } handle = {.size = 128};
    ATTEMPT(syscall(SYS_name_to_handle_at, AT_FDCWD, ".", &handle, &mount_id, 0), "name_to_handle_at");
    ATTEMPT(syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY), "open_by_handle_at");
    ATTEMPT(syscall(SYS_init_module, buffer, 0, ""), "init_module");
    ATTEMPT(syscall(SYS_sethostname, "x", 1), "sethostname");
    ATTEMPT(syscall(SYS_swapoff, "/x"), "swapoff");
    ATTEMPT(syscall(SYS_acct, "/x"), "acct");
    ATTEMPT(syscall(SYS_syslog, 3, buffer, sizeof buffer), "syslog");
    ATTEMPT(syscall(SYS_iopl, 3), "iopl");
    ATTEMPT(syscall(SYS_quotactl, 0, NULL, 0, NULL), "quotactl");
    /* Where there is a pool of them: without one the kernel's own word is another. */
    void *huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (huge == MAP_FAILED && errno == EPERM) BLOCKED("huge pages of the machine's");
    else LEAKED("huge pages of the machine's: %s", strerror(errno));
    int terminal = open("/dev/tty", O_RDWR);
    ATTEMPT(terminal, "a terminal");
    /* Not known, not permitted: both will do, but a program of today must go on with the older clone. */
    long cloned = syscall(SYS_clone3, buffer + 1024, 64);
    if (cloned == 0) _exit(0);
    ATTEMPT(cloned, "clone3");
    return 0;
}
