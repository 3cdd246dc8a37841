/* @ATTACK: starts threads for ever
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"
#include <pthread.h>

static void *rest(void *nothing) {
    pause();
    return nothing;
}

int main(void) {
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
    for (int count = 0; count < 1000; count++) {
        if (pthread_create(&thread, &small, rest, NULL)) {
            BLOCKED("thread %d", count);
            _exit(0);
        }
    }
    LEAKED("1000 threads");
    _exit(1);
}
