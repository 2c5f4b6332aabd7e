// Shared memory and file locks. Any process or thread.
//
// A mapping is MAP_SHARED of a plain file: the page cache outlives the process, so what was stored before a `kill -9` is
// there for the next one. The ArrayBuffer owns the mapping and unmaps it when it is collected.
//
// A memory file has no name and no disk behind it: it lives as long as a descriptor or a mapping of it. Its pages are
// made when they are touched, so a store into it waits for no disk and a full disk cannot turn it into a SIGBUS.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "addon.h"

namespace sluice {
namespace {

constexpr size_t PATH_BYTES_MAX = 4096;

bool path_of(napi_env env, napi_value value, char* out) {
  size_t length = 0;
  if (!ok(env, napi_get_value_string_utf8(env, value, out, PATH_BYTES_MAX, &length))) return false;
  if (length < PATH_BYTES_MAX - 1) return true;
  napi_throw_range_error(env, "SLUICE_PATH", "the path is too long");
  return false;
}

napi_value throw_errno(napi_env env, const char* what, const char* path) {
  const std::string message = std::string(what) + " " + path + ": " + std::strerror(errno);
  napi_throw_error(env, "SLUICE_MAP", message.c_str());
  return nullptr;
}

// Opens for reading and writing with blocks allocated, so that a full disk fails here and not as a SIGBUS on a store.
int open_sized(const char* path, size_t bytes) {
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  struct stat info;
  const bool short_file = fstat(fd, &info) == 0 && static_cast<size_t>(info.st_size) < bytes;
  if (short_file) {
    const int failed = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    if (failed != 0) {
      close(fd);
      errno = failed;
      return -1;
    }
  }
  return fd;
}

void unmap(napi_env, void* data, void* hint) { munmap(data, reinterpret_cast<size_t>(hint)); }

// An ArrayBuffer over `length` bytes of `fd` from `offset` on; null and a pending exception when that fails.
napi_value map_shared(napi_env env, int fd, int64_t offset, size_t length, const char* path) {
  void* data = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return throw_errno(env, "cannot map", path);
  napi_value buffer = nullptr;
  if (!ok(env, napi_create_external_arraybuffer(env, data, length, unmap, reinterpret_cast<void*>(length), &buffer))) {
    munmap(data, length);
    return nullptr;
  }
  return buffer;
}

napi_value map_file(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  char path[PATH_BYTES_MAX];
  int64_t bytes = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!path_of(env, argv[0], path) || !ok(env, napi_get_value_int64(env, argv[1], &bytes))) return nullptr;
  if (bytes <= 0) {
    napi_throw_range_error(env, "SLUICE_MAP", "bytes must be positive");
    return nullptr;
  }
  const size_t length = static_cast<size_t>(bytes);
  const int fd = open_sized(path, length);
  if (fd < 0) return throw_errno(env, "cannot open", path);
  const napi_value buffer = map_shared(env, fd, 0, length, path);
  close(fd);
  return buffer;
}

napi_value memory_file(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  char name[PATH_BYTES_MAX];
  int64_t bytes = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!path_of(env, argv[0], name) || !ok(env, napi_get_value_int64(env, argv[1], &bytes))) return nullptr;
  const int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return throw_errno(env, "cannot make the memory file", name);
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    const int reason = errno;
    close(fd);
    errno = reason;
    return throw_errno(env, "cannot size the memory file", name);
  }
  napi_value result = nullptr;
  napi_create_int32(env, fd, &result);
  return result;
}

napi_value map_descriptor(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  int32_t fd = -1;
  int64_t offset = 0, bytes = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_int32(env, argv[0], &fd)) || !ok(env, napi_get_value_int64(env, argv[1], &offset)) ||
      !ok(env, napi_get_value_int64(env, argv[2], &bytes)))
    return nullptr;
  struct stat info_of_file;
  if (fstat(fd, &info_of_file) != 0) return throw_errno(env, "cannot map", "the descriptor");
  // A mapping beyond the end would be a SIGBUS at its first use.
  if (offset < 0 || bytes <= 0 || info_of_file.st_size < offset + bytes) {
    napi_throw_range_error(env, "SLUICE_MAP", "the file is too short for this mapping");
    return nullptr;
  }
  return map_shared(env, fd, offset, static_cast<size_t>(bytes), "the descriptor");
}

// The descriptor stays open on purpose: the kernel drops the lock when the process ends, however it ends.
napi_value lock_file(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  char path[PATH_BYTES_MAX];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!path_of(env, argv[0], path)) return nullptr;
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return throw_errno(env, "cannot open", path);
  const bool held = flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!held) {
    const int reason = errno;
    close(fd);
    errno = reason;
    if (reason != EWOULDBLOCK) return throw_errno(env, "cannot lock", path);
  }
  napi_value result = nullptr;
  napi_create_int32(env, held ? fd : -1, &result);
  return result;
}

}  // namespace

void register_map(napi_env env, napi_value exports) {
  define(env, exports, "mapFile", map_file);
  define(env, exports, "memoryFile", memory_file);
  define(env, exports, "mapDescriptor", map_descriptor);
  define(env, exports, "lockFile", lock_file);
}

}  // namespace sluice
