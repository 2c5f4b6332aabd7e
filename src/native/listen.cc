// Listening sockets that Node and uWebSockets.js cannot make or take. Supervisor and gateway workers, main thread.
//
// uWebSockets.js opens its own listening sockets only. But it and libuv know a socket by the number of its descriptor, and
// epoll hears of that at the next turn of the loop. So whoever puts another listening socket under this number within the
// same turn makes the app accept from it: one socket that several workers share, with one queue that no worker's death empties.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "addon.h"

namespace sluice {
namespace {

napi_value throw_errno(napi_env env, const char* what) {
  const std::string message = std::string(what) + ": " + std::strerror(errno);
  napi_throw_error(env, "SLUICE_LISTEN", message.c_str());
  return nullptr;
}

napi_value number_of(napi_env env, int value) {
  napi_value result = nullptr;
  return ok(env, napi_create_int32(env, value, &result)) ? result : nullptr;
}

// bindUnix(path): a socket that does not listen yet. The empty path: the kernel chooses an abstract name.
napi_value bind_unix(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  size_t length = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_string_utf8(env, argv[0], address.sun_path, sizeof(address.sun_path), &length))) return nullptr;
  if (length >= sizeof(address.sun_path) - 1) {
    errno = ENAMETOOLONG;
    return throw_errno(env, "cannot bind");
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_errno(env, "cannot make a socket");
  const socklen_t size = length == 0 ? sizeof(sa_family_t) : sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) {
    const int reason = errno;
    close(fd);
    errno = reason;
    return throw_errno(env, "cannot bind");
  }
  return number_of(env, fd);
}

// listenOn(descriptor, backlog)
napi_value listen_on(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t fd = 0;
  int32_t backlog = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_int32(env, argv[0], &fd)) || !ok(env, napi_get_value_int32(env, argv[1], &backlog))) return nullptr;
  return listen(fd, backlog) == 0 ? nullptr : throw_errno(env, "cannot listen");
}

// abstractName(descriptor): without the NUL that such a name begins with.
napi_value abstract_name(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  int32_t fd = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr)) || !ok(env, napi_get_value_int32(env, argv[0], &fd))) {
    return nullptr;
  }
  sockaddr_un address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return throw_errno(env, "no name");
  const size_t before = offsetof(sockaddr_un, sun_path) + 1;
  napi_value name = nullptr;
  const size_t length = size > before ? size - before : 0;
  return ok(env, napi_create_string_latin1(env, address.sun_path + 1, length, &name)) ? name : nullptr;
}

bool listens_on(int fd, int port) {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  if (address.sin_family != AF_INET || ntohs(address.sin_port) != port) return false;
  int listening = 0;
  socklen_t length = sizeof(listening);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

int listener_of(int port) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return -1;
  int found = -1;
  while (const dirent* entry = readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || !listens_on(fd, port)) continue;
    found = fd;
    break;
  }
  closedir(directory);
  if (found < 0) errno = ENOENT;
  return found;
}

// replaceListener(port, descriptor): the IPv4 socket of this process that listens on `port` becomes the other one.
napi_value replace_listener(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t port = 0;
  int32_t fd = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_int32(env, argv[0], &port)) || !ok(env, napi_get_value_int32(env, argv[1], &fd))) return nullptr;
  const int found = listener_of(port);
  if (found < 0) return throw_errno(env, "no socket listens on this port");
  if (dup3(fd, found, O_CLOEXEC) < 0) return throw_errno(env, "cannot replace the socket");
  return nullptr;
}

bool is_tcp_listener(int fd) {
  int domain = 0, listening = 0;
  socklen_t length = sizeof(int);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return false;
  if (domain != AF_INET && domain != AF_INET6) return false;
  length = sizeof(int);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

// Has every TCP listener of this process drop what begins a connection (SYN) and nothing else, so that its queue runs empty.
// A filter sees a packet from the TCP header on; byte 13 of it are the flags.
napi_value refuse_syns(napi_env env, napi_callback_info) {
  sock_filter code[] = {
      {BPF_LD | BPF_B | BPF_ABS, 0, 0, 13},
      {BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x02},
      {BPF_RET | BPF_K, 0, 0, 0},
      {BPF_RET | BPF_K, 0, 0, 0xffffffff},
  };
  const sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  int count = 0;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return number_of(env, 0);
  while (const dirent* entry = readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || !is_tcp_listener(fd)) continue;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0) count += 1;
  }
  closedir(directory);
  return number_of(env, count);
}

}  // namespace

void register_listen(napi_env env, napi_value exports) {
  define(env, exports, "bindUnix", bind_unix);
  define(env, exports, "listenOn", listen_on);
  define(env, exports, "abstractName", abstract_name);
  define(env, exports, "replaceListener", replace_listener);
  define(env, exports, "refuseSyns", refuse_syns);
}

}  // namespace sluice
