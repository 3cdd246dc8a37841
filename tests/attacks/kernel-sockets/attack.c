/* @ATTACK: sockets of every family but unix and inet: vsock, netlink, packets, algorithms, Bluetooth, TIPC, XDP
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"
#include <sys/socket.h>

int main(void) {
    for (int family = 0; family < 64; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
        for (int type = SOCK_STREAM; type <= SOCK_PACKET; type++) {
            int pair[2];
            int fd = socket(family, type, 0);
            if (fd >= 0) LEAKED("a socket of family %d, type %d", family, type);
            if (fd >= 0) close(fd);
            if (!socketpair(family, type, 0, pair)) LEAKED("a pair of family %d, type %d", family, type);
            /* Another error is the family's own: its code was reached. */
            else if (errno != EAFNOSUPPORT) LEAKED("a pair of family %d, type %d: %s", family, type, strerror(errno));
        }
    }
    int pair[2];
    if (!socketpair(AF_INET, SOCK_STREAM, 0, pair) || errno != EAFNOSUPPORT) LEAKED("a pair of inet: %s", strerror(errno));
    ATTEMPT(socket(AF_INET, SOCK_RAW, 1), "a raw socket");
    ATTEMPT(socket(AF_INET6, SOCK_RAW, 58), "a raw socket, IPv6");
    ATTEMPT(socket(AF_INET, SOCK_PACKET, 768), "packets, the old way");
    return 0;
}
