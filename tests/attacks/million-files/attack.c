/* @ATTACK: makes a million empty files, as many as two seconds give
 * @EXPECT: all=SUCCESS|ERROR
 */
#include "attack.h"

int main(void) {
    int number = 0;
    elapsed();
    for (; number < 1000000 && elapsed() < 2; number++) {
        char path[64];
        if (number % 1000 == 0) {
            snprintf(path, sizeof path, "many-%d", number / 1000);
            mkdir(path, 0700);
        }
        snprintf(path, sizeof path, "many-%d/%d", number / 1000, number);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0) break;
        close(fd);
    }
    TRIED("%d files: %s", number, strerror(errno));
    return 0;
}
