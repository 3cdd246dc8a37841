/* @ATTACK: TCP, UDP and names of the internet; in an own namespace even its loopback leads nowhere else
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

static void reach(int type, const char *address, uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        BLOCKED("a socket: %s", strerror(errno));
        return;
    }
    /* A connection on its way is one that was let out; so is a datagram that was sent. */
    int refused = connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS;
    if (!refused && type == SOCK_DGRAM) refused = send(fd, "", 1, 0) < 0;
    if (refused) BLOCKED("%s port %d: %s", address, port, strerror(errno));
    else LEAKED("%s port %d: there is a way", address, port);
    close(fd);
}

int main(void) {
    /* Addresses for documentation: nobody has them. */
    reach(SOCK_STREAM, "192.0.2.1", 80);
    reach(SOCK_DGRAM, "192.0.2.1", 53);
    reach(SOCK_STREAM, "198.51.100.1", 80);
    reach(SOCK_DGRAM, "255.255.255.255", 9);
    struct addrinfo *found = NULL;
    int error = getaddrinfo("example.org", "80", NULL, &found);
    if (error) BLOCKED("example.org: %s", gai_strerror(error));
    else LEAKED("example.org has an address");
    return 0;
}
