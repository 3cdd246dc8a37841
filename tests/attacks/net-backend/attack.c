/* @ATTACK: TCP and UDP, IPv4 and IPv6, to the backend and to services of this machine
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static void reach(int family, int type, const char *address, const char *port) {
    struct sockaddr_in4_or_6 {
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        };
    } to = {0};
    socklen_t length = family == AF_INET ? sizeof to.v4 : sizeof to.v6;
    to.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        to.v4.sin_port = htons((uint16_t)atoi(port));
        inet_pton(AF_INET, address, &to.v4.sin_addr);
    } else {
        to.v6.sin6_port = htons((uint16_t)atoi(port));
        inet_pton(AF_INET6, address, &to.v6.sin6_addr);
    }
    const char *kind = type == SOCK_STREAM ? "TCP" : "UDP";
    int fd = socket(family, type, 0);
    if (fd < 0) {
        BLOCKED("a socket for %s to %s: %s", kind, address, strerror(errno));
        return;
    }
    if (connect(fd, &to.any, length)) {
        BLOCKED("%s to %s port %s: %s", kind, address, port, strerror(errno));
    } else if (type == SOCK_STREAM) {
        LEAKED("TCP to %s port %s", address, port);
    } else {
        /* A datagram to nobody is refused, and the second call hears of it. Others hear the first one. */
        send(fd, "LEAK", 4, 0);
        usleep(20000);
        if (send(fd, "LEAK", 4, 0) < 0) BLOCKED("UDP to %s port %s: %s", address, port, strerror(errno));
        else LEAKED("UDP to %s port %s", address, port);
    }
    close(fd);
}

int main(void) {
    const char *machine = outside("ADDRESS");
    reach(AF_INET, SOCK_STREAM, "127.0.0.1", outside("BACKEND_PORT"));
    reach(AF_INET, SOCK_STREAM, "127.0.0.1", outside("TCP4_PORT"));
    reach(AF_INET, SOCK_DGRAM, "127.0.0.1", outside("UDP4_PORT"));
    reach(AF_INET6, SOCK_STREAM, "::1", outside("TCP6_PORT"));
    reach(AF_INET6, SOCK_DGRAM, "::1", outside("UDP6_PORT"));
    reach(AF_INET6, SOCK_STREAM, "::ffff:127.0.0.1", outside("TCP4_PORT"));
    if (*machine) reach(AF_INET, SOCK_STREAM, machine, outside("TCP4_PORT"));
    return 0;
}
