/* @ATTACK: a file of 1 TB that takes no room, in four ways
 * @EXPECT: all=SUCCESS
 */
#include "attack.h"

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    const off_t size = (off_t)1 << 40;
    int fd = open("sparse", O_RDWR | O_CREAT, 0600);
    ATTEMPT(ftruncate(fd, size), "ftruncate to 1 TB");
    ATTEMPT(pwrite(fd, "x", 1, size), "a byte at 1 TB");
    ATTEMPT(fallocate(fd, 0, 0, size), "fallocate of 1 TB");
    ATTEMPT(truncate("sparse", 100 << 20), "truncate to 100 MB");
    int memory = memfd_create("sparse", 0);
    if (memory >= 0) ATTEMPT(ftruncate(memory, size), "a file without a name of 1 TB");
    struct stat status;
    if (!fstat(fd, &status) && status.st_size > 64 << 20) LEAKED("%ld bytes", (long)status.st_size);
    return 0;
}
