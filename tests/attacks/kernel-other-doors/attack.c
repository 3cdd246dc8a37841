/* @ATTACK: the same calls by the other doors: the 32-bit entry and the x32 numbers, which a filter by number may not know
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <sys/socket.h>

#ifdef __x86_64__
static long by_int80(long number, long one, long two, long three) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

/* Each in a child: being killed for it is an answer too. Exit code 0: it worked. */
static void try(const char *what, int door, long number, long one, long two, long three) {
    pid_t child = fork();
    if (child == 0) {
        long result = door ? by_int80(number, one, two, three) : syscall(0x40000000 | number, one, two, three);
        _exit(result < 0 && result > -4096 ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) LEAKED("%s", what);
    else BLOCKED("%s: %s", what, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an error");
}

int main(void) {
    try("x32: getpid, which harms nothing but shows the door", 0, SYS_getpid, 0, 0, 0);
    try("x32: a vsock socket", 0, SYS_socket, AF_VSOCK, SOCK_STREAM, 0);
    try("x32: a netlink socket", 0, SYS_socket, AF_NETLINK, SOCK_RAW, 0);
    try("x32: unshare of the user namespace", 0, SYS_unshare, CLONE_NEWUSER, 0, 0);
    try("x32: keyctl", 0, SYS_keyctl, 0, -3, 1);
    try("32 bit: a vsock socket", 1, 359, AF_VSOCK, SOCK_STREAM, 0);
    try("32 bit: unshare of the user namespace", 1, 310, CLONE_NEWUSER, 0, 0);
    try("32 bit: keyctl", 1, 288, 0, -3, 1);
    return 0;
}
#else
int main(void) {
    TRIED("this machine has no other door");
    return 0;
}
#endif
