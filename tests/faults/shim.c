// A C library that fails on request, put in front of a program with LD_PRELOAD. It acts only on what
// lies under one directory, as these variables say:
//
//   SHIM_DIR    the directory
//   SHIM_STATE  a file that all processes share: counters, and the latest renames
//   SHIM_TOLD   a file that gets a line for each call that is struck: "PROCESS KIND PATH"
//   SHIM_FAIL   "KINDS FIRST LAST STEP ERRNO HOW": of the calls of these kinds, counted over all
//               processes, number FIRST, FIRST + STEP, ... up to LAST fail. HOW is `undone`, or
//               `done`: they do their work all the same, or `short`: a write is cut short.
//   SHIM_STOP   "NUMBER before|after": SIGSTOP before or after the call of that number which
//   SHIM_THREAD makes, "worker/commit" say, counted over all such threads
//   SHIM_LAG    "MILLISECONDS SEED": listings show a folder's old name for up to so long
//   SHIM_CLOCK  files' times are so many seconds later
//   SHIM_SYNC   a sync takes so many milliseconds more
//   SHIM_HOST   the host's name
//
// Kinds: write, sync, mkdir, rename, hardlink, open (of files that may be made), unlink, truncate.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RENAMES 16384
#define NAME 64

struct renamed {
    char from[NAME], to[NAME];
    atomic_llong at; // milliseconds; 0 until the names are there
};

// Its file begins as zeros.
static struct state {
    atomic_long calls, calls_of_thread, renames;
    struct renamed renamed[RENAMES];
} *state;

static const char *dir, *stopped_thread, *host, *process = "driver";
static char kinds[128], how[8] = "undone", moment[8];
static long first, last, step, error, stop_at, ahead, lag, sync_takes;
static unsigned long seed;

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

__attribute__((constructor)) static void begin(int argc, char **argv) {
    // Whatever else inherits LD_PRELOAD is let alone.
    if (!*variable("SHIM_STATE")) return;
    if (argc > 1 && strstr(argv[1], "espnet3-par-")) process = strrchr(argv[1], '-') + 1;
    stopped_thread = variable("SHIM_THREAD");
    host = variable("SHIM_HOST");
    ahead = atol(variable("SHIM_CLOCK"));
    sync_takes = atol(variable("SHIM_SYNC"));
    sscanf(variable("SHIM_FAIL"), "%127s %ld %ld %ld %ld %7s", kinds, &first, &last, &step, &error, how);
    sscanf(variable("SHIM_STOP"), "%ld %7s", &stop_at, moment);
    sscanf(variable("SHIM_LAG"), "%ld %lu", &lag, &seed);
    int file = syscall(SYS_openat, AT_FDCWD, variable("SHIM_STATE"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || syscall(SYS_ftruncate, file, sizeof *state)) abort();
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (state == MAP_FAILED) abort();
    syscall(SYS_close, file);
    dir = variable("SHIM_DIR");
}

static bool below(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static const char *path_of(int fd) {
    static _Thread_local char path[PATH_MAX];
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = dir ? readlink(link, path, sizeof path - 1) : 0;
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static void tell(const char *kind, const char *path) {
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s %s %s\n", process, kind, path);
    int file = syscall(SYS_openat, AT_FDCWD, variable("SHIM_TOLD"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, file, line, length);
    syscall(SYS_close, file);
}

// What becomes of one call.
struct fate {
    bool fails, stops_after;
};

static struct fate meet(const char *kind, const char *path) {
    struct fate fate = {false, false};
    if (!dir || !below(path, dir)) return fate;
    if (stop_at) {
        char name[16] = "", whole[32];
        pthread_getname_np(pthread_self(), name, sizeof name);
        snprintf(whole, sizeof whole, "%s/%s", process, name);
        if (!strcmp(whole, stopped_thread) && atomic_fetch_add(&state->calls_of_thread, 1) + 1 == stop_at) {
            tell(kind, path);
            fate.stops_after = *moment == 'a';
            if (!fate.stops_after) raise(SIGSTOP);
        }
    }
    if (strstr(kinds, kind)) {
        long number = atomic_fetch_add(&state->calls, 1) + 1;
        fate.fails = number >= first && number <= last && (number - first) % step == 0;
        if (fate.fails) tell(kind, path);
    }
    return fate;
}

static long end(struct fate fate, long result) {
    int saved = errno;
    if (fate.stops_after) raise(SIGSTOP);
    errno = fate.fails && *how != 's' ? error : saved;
    return fate.fails && *how != 's' ? -1 : result;
}

#define AROUND(kind, path, call)                                \
    ({                                                          \
        struct fate fate = meet(kind, path);                    \
        end(fate, fate.fails && *how == 'u' ? -1 : (call));     \
    })

// The length of a write, which may be cut short.
#define CUT(length) (fate.fails && (length) > 1 ? (length) / 2 : (length))

ssize_t write(int fd, const void *bytes, size_t length) {
    return AROUND("write", path_of(fd), syscall(SYS_write, fd, bytes, CUT(length)));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return AROUND("write", path_of(fd), syscall(SYS_writev, fd, parts, CUT(count)));
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
    return AROUND("write", path_of(out), syscall(SYS_copy_file_range, in, from, out, to, length, flags));
}

static long synced(long result) {
    usleep(sync_takes * 1000);
    return result;
}

int fsync(int fd) { return AROUND("sync", path_of(fd), synced(syscall(SYS_fsync, fd))); }

int fdatasync(int fd) { return AROUND("sync", path_of(fd), synced(syscall(SYS_fdatasync, fd))); }

int ftruncate64(int fd, off64_t length) {
    return AROUND("truncate", path_of(fd), syscall(SYS_ftruncate, fd, length));
}

int mkdir(const char *path, mode_t mode) {
    return AROUND("mkdir", path, syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    return AROUND("hardlink", to, syscall(SYS_linkat, a, from, b, to, flags));
}

int unlink(const char *path) { return AROUND("unlink", path, syscall(SYS_unlinkat, AT_FDCWD, path, 0)); }

int unlinkat(int at, const char *path, int flags) {
    return AROUND("unlink", *path == '/' ? path : path_of(at), syscall(SYS_unlinkat, at, path, flags));
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (!(flags & O_CREAT)) return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    return AROUND("open", path, syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

static bool is_shards(const char *path, size_t length) {
    return dir && length == strlen(dir) + strlen("/shards") && below(path, dir) &&
           !strncmp(path + strlen(dir), "/shards", strlen("/shards"));
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static long noted(const char *from, const char *to, long result) {
    const char *old = strrchr(from, '/'), *new = strrchr(to, '/');
    if (result || !lag || !old || !new || !is_shards(to, new - to)) return result;
    long number = atomic_fetch_add(&state->renames, 1);
    struct renamed *note = &state->renamed[number % RENAMES];
    snprintf(note->from, NAME, "%s", old + 1);
    snprintf(note->to, NAME, "%s", new + 1);
    atomic_store(&note->at, now());
    return 0;
}

int rename(const char *from, const char *to) {
    return AROUND("rename", to, noted(from, to, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)));
}

// Whether this process does not see a rename yet: each has its own lag of each.
static bool unseen(long number) {
    unsigned long mixed = (seed * 31 + number * 1009 + getpid()) * 2654435761UL;
    return now() < atomic_load(&state->renamed[number % RENAMES].at) + (long)((mixed >> 16) % lag);
}

struct dirent64 *readdir64(DIR *listing) {
    static _Thread_local struct dirent64 old;
    struct dirent64 *(*real)(DIR *) = dlsym(RTLD_NEXT, "readdir64");
    struct dirent64 *entry = real(listing);
    if (!entry || !dir || !lag) return entry;
    const char *path = path_of(dirfd(listing));
    if (!is_shards(path, strlen(path))) return entry;
    memcpy(&old, entry, entry->d_reclen);
    for (long number = atomic_load(&state->renames); number-- > 0;) {
        struct renamed *note = &state->renamed[number % RENAMES];
        if (now() > note->at + lag && note->at) break;
        if (unseen(number) && !strcmp(old.d_name, note->to)) strcpy(old.d_name, note->from);
    }
    return &old;
}

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict stat) {
    long result = syscall(SYS_statx, at, path, flags, mask, stat);
    if (!result && dir && below(*path ? path : path_of(at), dir)) stat->stx_mtime.tv_sec += ahead;
    return result;
}

int gethostname(char *name, size_t length) {
    int (*real)(char *, size_t) = dlsym(RTLD_NEXT, "gethostname");
    if (!host || !*host) return real(name, length);
    snprintf(name, length, "%s", host);
    return 0;
}
