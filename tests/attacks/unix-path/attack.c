/* @ATTACK: unix sockets outside that have a path: one that everybody may use, one of the runner's user, docker, D-Bus, systemd, ssh
 * @EXPECT: all=SUCCESS basic-root=LEAKED basic-user=LEAKED none=LEAKED
 */
#include "attack.h"
#include <sys/socket.h>
#include <sys/un.h>

static void reach(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
        ATTEMPT(connect(fd, (struct sockaddr *)&to, sizeof to), "%s", path);
        close(fd);
    }
}

int main(void) {
    const char *paths[] = {"/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
                           "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/journal/socket",
                           "/run/systemd/notify", "/dev/log", "/tmp/.X11-unix/X0"};
    reach(outside("UNIX_PATH"));
    reach(outside("UNIX_PRIVATE_PATH"));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) reach(paths[i]);
    return 0;
}
