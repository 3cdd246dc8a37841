/* @ATTACK: an abstract unix socket outside, as D-Bus and X have them
 * @EXPECT: all=SUCCESS none=LEAKED
 */
#include "attack.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (int i = 0; i < 2; i++) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        snprintf(to.sun_path + 1, sizeof to.sun_path - 1, "%s%s", outside("ABSTRACT"), i ? "-datagrams" : "");
        socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(to.sun_path + 1));
        int fd = socket(AF_UNIX, types[i], 0);
        ATTEMPT(connect(fd, (struct sockaddr *)&to, length), "@%s", to.sun_path + 1);
        ATTEMPT(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "LEAK", 4, 0, (struct sockaddr *)&to, length), "a datagram to @%s", to.sun_path + 1);
    }
    return 0;
}
