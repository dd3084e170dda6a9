/* Faults on demand: stands between a program and libc (LD_PRELOAD), counts the calls that
 * change files below one folder, and at the n-th of them kills the process or fails it.
 *
 * fault_arm(root, n, mode, kinds) begins to count; n = 0 counts only.
 * Modes: 1 kill before the call, 2 do half of a write (or all of another call) and kill,
 *        3 fail this call with EIO, 4 fail this call and every later one with ENOSPC,
 *        5 fail this call with ENOSPC.
 * Kinds: 1 write, 2 sync, 4 names (create, rename, unlink, mkdir), 8 truncate; added up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, NAME = 4, TRUNCATE = 8 };

static char root[PATH_MAX];
static atomic_long counter, target;
static int mode, kinds;

void fault_arm(const char *path, long n, int how, int which) {
  strncpy(root, path, sizeof root - 1);
  mode = how;
  kinds = which;
  atomic_store(&target, n);
  atomic_store(&counter, 0);
}

long fault_count(void) { return atomic_load(&counter); }

static int inside(const char *path) { return root[0] && strncmp(path, root, strlen(root)) == 0; }

static int fd_inside(int fd) {
  char link[64], path[PATH_MAX];
  if (!root[0]) return 0;
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (n < 0) return 0;
  path[n] = 0;
  return inside(path);
}

static void die(void) {
  kill(getpid(), SIGKILL);
  pause();
}

/* What to do with this call: 0 go on, 1 die after half of it, 2 fail it (errno is set). */
static int judge(int kind) {
  if (!(kinds & kind)) return 0;
  long n = atomic_fetch_add(&counter, 1) + 1, goal = atomic_load(&target);
  if (goal == 0 || n < goal) return 0;
  if (n == goal && mode == 1) die();
  if (n == goal && mode == 2) return 1;
  if (n == goal && mode == 3) { errno = EIO; return 2; }
  if (n == goal && mode == 5) { errno = ENOSPC; return 2; }
  if (mode == 4) { errno = ENOSPC; return 2; }
  return 0;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define ON_FD(type, name, kind, params, types, half, all) \
  type name params { \
    REAL(type, name, types); \
    if (fd_inside(fd)) { \
      int verdict = judge(kind); \
      if (verdict == 2) return -1; \
      if (verdict == 1) { real half; die(); } \
    } \
    return real all; \
  }

#define T(...) __VA_ARGS__
ON_FD(ssize_t, write, WRITE, (int fd, const void *b, size_t n), T(int, const void *, size_t),
      (fd, b, n / 2), (fd, b, n))
ON_FD(ssize_t, pwrite, WRITE, (int fd, const void *b, size_t n, off_t o),
      T(int, const void *, size_t, off_t), (fd, b, n / 2, o), (fd, b, n, o))
ON_FD(ssize_t, pwrite64, WRITE, (int fd, const void *b, size_t n, off64_t o),
      T(int, const void *, size_t, off64_t), (fd, b, n / 2, o), (fd, b, n, o))
ON_FD(int, fsync, SYNC, (int fd), T(int), (fd), (fd))
ON_FD(int, fdatasync, SYNC, (int fd), T(int), (fd), (fd))
ON_FD(int, ftruncate, TRUNCATE, (int fd, off_t n), T(int, off_t), (fd, n), (fd, n))
ON_FD(int, ftruncate64, TRUNCATE, (int fd, off64_t n), T(int, off64_t), (fd, n), (fd, n))

#define ON_PATH(name, params, types, args) \
  int name params { \
    REAL(int, name, types); \
    if (inside(path)) { \
      int verdict = judge(NAME); \
      if (verdict == 2) return -1; \
      if (verdict == 1) { real args; die(); } \
    } \
    return real args; \
  }

ON_PATH(unlink, (const char *path), T(const char *), (path))
ON_PATH(rmdir, (const char *path), T(const char *), (path))
ON_PATH(mkdir, (const char *path, mode_t m), T(const char *, mode_t), (path, m))
ON_PATH(rename, (const char *path, const char *to), T(const char *, const char *), (path, to))
ON_PATH(link, (const char *path, const char *to), T(const char *, const char *), (path, to))

#define ON_OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, name, T(const char *, int, ...)); \
    mode_t m = 0; \
    if (flags & O_CREAT) { \
      va_list rest; \
      va_start(rest, flags); \
      m = va_arg(rest, mode_t); \
      va_end(rest); \
      if (inside(path)) { \
        int verdict = judge(NAME); \
        if (verdict == 2) return -1; \
        if (verdict == 1) { real(path, flags, m); die(); } \
      } \
    } \
    return real(path, flags, m); \
  }

ON_OPEN(open)
ON_OPEN(open64)
