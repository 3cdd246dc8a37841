/* What the attacks share: how they say what came of it, and how they find their targets. */
#ifndef ATTACK_H
#define ATTACK_H
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3), unused))
static void say(const char *word, const char *format, ...) {
    va_list list;
    va_start(list, format);
    printf("%s ", word);
    vprintf(format, list);
    printf("\n");
    fflush(stdout);
    va_end(list);
}

#define LEAKED(...) say("LEAKED", __VA_ARGS__)
#define BLOCKED(...) say("BLOCKED", __VA_ARGS__)
#define TRIED(...) say("TRIED", __VA_ARGS__)

/* One attempt: a result below 0 with errno is what it should be. */
#define ATTEMPT(result, ...)                                                                      \
    do {                                                                                          \
        errno = 0;                                                                                \
        long attempted = (long)(result);                                                          \
        int why = errno;                                                                          \
        char what[512];                                                                           \
        snprintf(what, sizeof what, __VA_ARGS__);                                                 \
        if (attempted < 0) BLOCKED("%s: %s", what, strerror(why));                                \
        else LEAKED("%s", what);                                                                  \
    } while (0)

/* What the harness tells: the value of a line KEY=VALUE, or "". */
__attribute__((unused))
static const char *outside(const char *key) {
    static char line[8192];
    FILE *file = fopen("outside", "r");
    size_t length = strlen(key);
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, key, length) && line[length] == '=') {
            fclose(file);
            return strdup(line + length + 1);
        }
    }
    if (file) fclose(file);
    return "";
}

/* All of a file below /proc; returns the bytes read, or -1. */
__attribute__((unused))
static ssize_t slurp(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t total = 0;
    ssize_t got;
    while (total < size && (got = read(fd, buffer + total, size - total)) > 0) total += (size_t)got;
    close(fd);
    return (ssize_t)total;
}

/* The processes in sight, without this one; returns how many. */
__attribute__((unused))
static int others(pid_t *pids, int most) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int count = 0;
    while (proc && (entry = readdir(proc)) && count < most) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid > 0 && pid != getpid()) pids[count++] = pid;
    }
    if (proc) closedir(proc);
    return count;
}

/* The name of a process. */
__attribute__((unused))
static const char *name_of(pid_t pid) {
    static char name[64];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    ssize_t got = slurp(path, name, sizeof name - 1);
    name[got > 0 ? got - 1 : 0] = 0;
    return name;
}

/* Where the suite writes its report: its command line says it. */
__attribute__((unused))
static const char *report(void) {
    static char line[65536];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", getppid());
    ssize_t got = slurp(path, line, sizeof line - 1);
    for (char *word = line; got > 0 && word < line + got; word += strlen(word) + 1) {
        if (!strncmp(word, "--junit-xml=", 12)) return word + 12;
        if (!strcmp(word, "--junit-xml")) return word + strlen(word) + 1;
    }
    return "../report.xml";
}

/* The suite's folder, as seen from here. */
__attribute__((unused))
static const char *suite(void) {
    static char folder[PATH_MAX];
    const char *starts[] = {".", getenv("HOME"), getenv("TMPDIR")};
    for (size_t i = 0; i < 6; i++) {
        if (!starts[i % 3]) continue;
        snprintf(folder, sizeof folder, "%s/..%s/suite", starts[i % 3], i < 3 ? "" : "/..");
        char file[PATH_MAX + 16];
        snprintf(file, sizeof file, "%s/run_tests.py", folder);
        if (!access(file, F_OK)) return folder;
    }
    return "../suite";
}

/* Goes on in a process of its own, in a session of its own, with nothing of the suite's open; the caller returns 0. */
__attribute__((unused))
static int in_background(void) {
    pid_t child = fork();
    if (child) {
        waitpid(child, NULL, 0);
        return 0;
    }
    setsid();
    if (fork()) _exit(0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    return 1;
}

/* Writes to megabytes of memory, in a way that no compiler leaves out. */
__attribute__((unused))
static void use(volatile char *memory, size_t megabytes) {
    for (size_t i = 0; i < megabytes << 20; i += 4096) memory[i] = 1;
}

/* Seconds since the first call. */
__attribute__((unused))
static double elapsed(void) {
    static struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!start.tv_sec) start = now;
    return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

/* Writes a report in which everything passed. */
__attribute__((unused))
static void forge(const char *path) {
    char temporary[PATH_MAX + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    if (!file) return;
    fputs("<testsuites><testsuite name=\"pytest\" errors=\"0\" failures=\"0\" skipped=\"0\" tests=\"4\" time=\"0.4\">", file);
    const char *cases[] = {"test_attack", "test_later", "test_exam", "test_helper"};
    for (int i = 0; i < 4; i++)
        fprintf(file, "<testcase classname=\"tests.test_student\" name=\"%s\" time=\"0.1\"/>", cases[i]);
    fputs("</testsuite></testsuites>\n", file);
    fclose(file);
    rename(temporary, path);
}
#endif
