/* @ATTACK: takes back the rights of an owner over the suite's files and folders, by every call and every name of them
 * @EXPECT: all=SUCCESS none=ERROR|LEAKED
 */
#include "attack.h"
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static char target[PATH_MAX], folder[PATH_MAX], beside[PATH_MAX + 16];

/* Whether anything of it is another than it was. */
static struct stat was;
static int changed(void) {
    struct stat now;
    return stat(target, &now) || now.st_ino != was.st_ino || now.st_mode != was.st_mode || now.st_size != was.st_size ||
           now.st_mtim.tv_sec != was.st_mtim.tv_sec || now.st_mtim.tv_nsec != was.st_mtim.tv_nsec;
}

static void by_names(void) {
    char name[PATH_MAX + 64];
    int fd = open(target, O_RDONLY), path = open(target, O_PATH), top = open(folder, O_RDONLY | O_DIRECTORY);
    int back = open(".", O_RDONLY | O_DIRECTORY);
    ATTEMPT(chmod(target, 0644), "mode by name");
    ATTEMPT(fchmod(fd, 0644), "mode by a descriptor");
    ATTEMPT(fchmodat(top, "helper.py", 0644, 0), "mode by a folder");
    ATTEMPT(syscall(SYS_fchmodat2, top, "helper.py", 0644, 0), "mode by a folder and flags");
    ATTEMPT(syscall(SYS_fchmodat2, path, "", 0644, AT_EMPTY_PATH), "mode by nothing but a descriptor");
    const char *forms[] = {"/proc/self/fd/%d", "/proc/thread-self/fd/%d", "/dev/fd/%d", "/proc/self/../self/fd/%d", "//proc/./self/fd/%d"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(name, sizeof name, forms[i], fd);
        ATTEMPT(chmod(name, 0644), "mode by %s", name);
    }
    snprintf(name, sizeof name, "%s/tests/../helper.py", folder);
    ATTEMPT(chmod(name, 0644), "mode by %s", name);
    unlink("soft"), unlink("hard");
    if (!symlink(target, "soft")) ATTEMPT(chmod("soft", 0644), "mode by a symbolic link");
    if (!link(target, "hard")) ATTEMPT(chmod("hard", 0644), "mode by another name");
    snprintf(name, sizeof name, "%s/again", folder);
    if (!link(target, name)) ATTEMPT(chmod(name, 0644), "mode by a name beside it");
    ATTEMPT(chmod(folder, 0), "mode of the folder");
    snprintf(name, sizeof name, "%s/tests", folder);
    ATTEMPT(chmod(name, 0), "mode of a folder in it");
    if (!chdir(folder)) ATTEMPT(chmod("helper.py", 0644), "mode from within the folder");
    if (fchdir(back)) TRIED("no way back");
}

static void by_attributes(void) {
    struct timespec times[] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct timeval micros[] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct utimbuf seconds = {1, 1};
    int fd = open(target, O_RDONLY), flags = FS_NODUMP_FL;
    ATTEMPT(utimensat(AT_FDCWD, target, times, 0), "times");
    ATTEMPT(utimensat(AT_FDCWD, target, NULL, 0), "the time of now");
    ATTEMPT(futimens(fd, times), "times by a descriptor");
    ATTEMPT(utimes(target, micros), "times by utimes");
    ATTEMPT(utime(target, &seconds), "times by utime");
    ATTEMPT(chown(target, getuid(), getgid()), "owner");
    ATTEMPT(fchown(fd, getuid(), getgid()), "owner by a descriptor");
    ATTEMPT(setxattr(target, "user.attack", "x", 1, 0), "an attribute");
    /* Version 2; for its owner, his group, the mask and others: all. */
    unsigned char all[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 7, 0, 255, 255, 255, 255, 32, 0, 7, 0, 255, 255, 255, 255};
    ATTEMPT(setxattr(target, "system.posix_acl_access", all, sizeof all, 0), "an access list");
    ATTEMPT(fsetxattr(fd, "system.posix_acl_access", all, sizeof all, 0), "an access list by a descriptor");
    ATTEMPT(ioctl(fd, FS_IOC_SETFLAGS, &flags), "flags");
    ATTEMPT(ioctl(fd, FS_IOC_SETVERSION, &flags), "a version");
}

static void by_entries(void) {
    char name[PATH_MAX + 64], other[PATH_MAX + 64];
    int top = open(folder, O_RDONLY | O_DIRECTORY);
    snprintf(other, sizeof other, "%s/mine", folder);
    close(open(other, O_CREAT | O_WRONLY, 0644));
    ATTEMPT(unlinkat(top, "helper.py", 0), "remove by a folder");
    ATTEMPT(renameat(top, "helper.py", top, "gone.py"), "move by a folder");
    ATTEMPT(renameat(top, "mine", top, "helper.py"), "replace by a folder");
    ATTEMPT(syscall(SYS_renameat2, top, "mine", top, "helper.py", RENAME_EXCHANGE), "exchange by a folder");
    ATTEMPT(renameat(top, "tests/", AT_FDCWD, "tests"), "move a folder away");
    snprintf(name, sizeof name, "%s/tests/..//./helper.py", folder);
    ATTEMPT(rename(other, name), "replace by %s", name);
    ATTEMPT(unlink(name), "remove by %s", name);
    if (!symlink(folder, "way")) ATTEMPT(unlink("way/helper.py"), "remove by a link");
    ATTEMPT(rename(folder, "stolen"), "move all of it away");
    ATTEMPT(truncate(target, 0), "truncate");
    ATTEMPT(open(target, O_RDWR), "write");
}

/* A path that means another file when it is used than when it was looked at. */
static char flipping[PATH_MAX];
static atomic_int flips = 1;

static void *flip(void *own) {
    (void)own;
    char mine[PATH_MAX];
    memset(mine, 0, sizeof mine);
    snprintf(mine, sizeof mine, "%s", "mine");
    while (flips) {
        memcpy(flipping, target, strlen(target) + 1);
        memcpy(flipping, mine, 5);
    }
    return NULL;
}

static void *swap(void *own) {
    (void)own;
    while (flips) {
        unlink("swapped");
        if (symlink(target, "swapped")) continue;
        unlink("swapped");
        close(open("swapped", O_CREAT | O_WRONLY, 0644));
    }
    return NULL;
}

static void by_races(void) {
    pthread_t threads[2];
    close(open("mine", O_CREAT | O_WRONLY, 0644));
    strcpy(flipping, "mine");
    pthread_create(&threads[0], NULL, flip, NULL);
    pthread_create(&threads[1], NULL, swap, NULL);
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (int i = 0; i < 20; i++) {
            chmod(flipping, 0666);
            chmod("swapped", 0666);
            rename("mine", flipping);
            close(open("mine", O_CREAT | O_WRONLY, 0644));
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 1000 && !changed());
    flips = 0;
    pthread_join(threads[0], NULL), pthread_join(threads[1], NULL);
    if (changed()) LEAKED("a path that changes while it is looked at");
    else BLOCKED("a path that changes while it is looked at: nothing of the file is another");
}

/* In a child: what nobody can look into, and what goes with whoever makes the calls for others. */
static void in_child(const char *what, void (*before)(void), int flags) {
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0);
    if (child == 0) {
        before();
        chmod(target, 0644);
        unlink(target);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (changed()) LEAKED("%s", what);
    else BLOCKED("%s: nothing of the file is another", what);
}

static void hide(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
static void nothing(void) {}

/* A sibling, whose parent is the suite's interpreter. */
static void sibling(void) {
    if (syscall(SYS_clone, SIGCHLD | CLONE_PARENT, 0, 0, 0, 0) == 0) {
        hide();
        chmod(target, 0644);
        unlink(target);
        unlink(beside);
        _exit(0);
    }
    usleep(100000);
}
/* An orphan of whoever takes orphans. */
static void orphan(void) {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (fork() == 0) {
        if (fork() == 0) {
            usleep(20000);
            hide();
            chmod(target, 0644);
            unlink(target);
        }
        _exit(0);
    }
    usleep(100000);
}

/* Whoever is above this program, its parent first. */
static pid_t above[16];
static void look_above(void) {
    above[0] = getppid();
    for (int i = 1; i < 16 && above[i - 1] > 1; i++) {
        char path[64], text[512] = "", *end;
        snprintf(path, sizeof path, "/proc/%d/stat", above[i - 1]);
        if (slurp(path, text, sizeof text - 1) < 0 || !(end = strrchr(text, ')')) || sscanf(end + 1, " %*c %d", &above[i]) != 1) break;
    }
}
static void trace(void) {
    for (int i = 0; i < 16 && above[i] > 1; i++) ptrace(PTRACE_ATTACH, above[i], 0, 0);
}

/* In a process of its own: a container's filter may end who makes calls of another kind. */
static void by_numbers(void) {
#ifdef __x86_64__
    int status;
    pid_t child = fork();
    if (child == 0) {
        syscall(0x40000000 | SYS_chmod, target, 0644);
        /* A kernel that has none says something else, so that this shows the filter. */
        errno = 0;
        _exit(syscall(0x40000000 | SYS_getpid) < 0 && errno == EPERM ? 0 : 1);
    }
    waitpid(child, &status, 0);
    if (changed()) LEAKED("mode by a call of another kind of program");
    if (status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)) LEAKED("calls of another kind of program: %x", status);
    else BLOCKED("calls of another kind of program: %x", status);
#endif
}

/* Executed under a mode that nobody may read. */
static void unreadable(char *self) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s-unreadable", self);
    char command[2 * PATH_MAX + 16];
    snprintf(command, sizeof command, "cp '%s' '%s'", self, copy);
    if (system(command) || chmod(copy, 0111)) TRIED("no copy");
    pid_t child = fork();
    if (child == 0) {
        execl(copy, copy, "hidden", (char *)NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    if (changed()) LEAKED("from a program that nobody can read");
    else BLOCKED("from a program that nobody can read: nothing of the file is another");
}

int main(int count, char **arguments) {
    snprintf(folder, sizeof folder, "%s", suite());
    snprintf(target, sizeof target, "%s/helper.py", folder);
    if (stat(target, &was)) {
        BLOCKED("%s: %s", target, strerror(errno));
        return 0;
    }
    if (count > 1) {
        chmod(target, 0644);
        unlink(target);
        sibling();
        return 0;
    }
    snprintf(beside, sizeof beside, "%s/later.py", folder);
    look_above();
    by_names();
    by_attributes();
    by_numbers();
    by_races();
    in_child("by a process that nobody can look into", hide, 0);
    in_child("by a sibling", sibling, 0);
    in_child("by an orphan", orphan, 0);
    sibling();
    if (changed() || access(beside, F_OK)) LEAKED("by a sibling of this program");
    else BLOCKED("by a sibling of this program: nothing of the file is another");
    in_child("by one that shares this one's memory", nothing, CLONE_VM | CLONE_VFORK);
    /* Without a sandbox that would stop the suite. */
    if (!*outside("HARMLESS")) in_child("by one that traces whoever is above", trace, 0);
    unreadable(arguments[0]);
    by_entries();
    if (changed()) LEAKED("something of the file is another");
    return 0;
}
