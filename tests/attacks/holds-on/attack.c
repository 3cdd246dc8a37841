/* No attack of its own: a daemon and a program that hold on, for the test that kills the runner under them. */
#include "attack.h"
#include <sys/prctl.h>

int main(void) {
    const char *name = outside("NAME");
    pid_t suite_ = getppid();
    if (in_background()) {
        for (int signal_ = 1; signal_ < 65; signal_++) signal(signal_, SIG_IGN);
        prctl(PR_SET_NAME, name);
        elapsed();
        while (elapsed() < 60) usleep(10000);
        return 0;
    }
    prctl(PR_SET_NAME, name);
    usleep(2500000);
    TRIED("held on under %d", suite_);
    return 0;
}
