// What a supervisor needs of the system and Node does not have: becoming another program in the same process, keeping
// descriptors over that, reaping children that an earlier program of the process forked, and telling systemd. Main thread.
#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "guard.h"

namespace sluice {
namespace {

napi_value throw_errno(napi_env env, const char* what) {
  const std::string message = std::string(what) + ": " + std::strerror(errno);
  napi_throw_error(env, "SLUICE_PROCESS", message.c_str());
  return nullptr;
}

bool texts_of(napi_env env, napi_value array, std::vector<std::string>* out) {
  uint32_t length = 0;
  if (!ok(env, napi_get_array_length(env, array, &length))) return false;
  out->resize(length);
  for (uint32_t i = 0; i < length; i += 1) {
    napi_value item;
    if (!ok(env, napi_get_element(env, array, i, &item)) || !text_of(env, item, &(*out)[i])) return false;
  }
  return true;
}

// The kernel ends all other threads, closes what is marked for it and keeps pid, children, locks and the rest. Returns only
// by throwing, and then nothing has changed.
napi_value replace_process(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  std::string path;
  std::vector<std::string> arguments, environment;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!text_of(env, argv[0], &path) || !texts_of(env, argv[1], &arguments) || !texts_of(env, argv[2], &environment))
    return nullptr;
  execve(path.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
  return throw_errno(env, ("cannot run " + path).c_str());
}

// False: it is not open.
napi_value keep_descriptor(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  int32_t fd = -1;
  bool keep = false;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_int32(env, argv[0], &fd)) || !ok(env, napi_get_value_bool(env, argv[1], &keep)))
    return nullptr;
  const int flags = fcntl(fd, F_GETFD);
  const bool open = flags >= 0 && fcntl(fd, F_SETFD, keep ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC) == 0;
  napi_value result = nullptr;
  napi_get_boolean(env, open, &result);
  return result;
}

napi_value reap_child(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argv[1];
  int32_t pid = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!ok(env, napi_get_value_int32(env, argv[0], &pid))) return nullptr;
  if (pid <= 0) {
    napi_throw_range_error(env, "SLUICE_PROCESS", "a process id is positive");
    return nullptr;
  }
  int status = 0;
  // An error says that there is no such child: it is gone as well.
  const bool gone = waitpid(pid, &status, WNOHANG) != 0;
  napi_value result = nullptr;
  napi_get_boolean(env, gone, &result);
  return result;
}

// A path, or an abstract name behind an @.
napi_value send_datagram(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  std::string path, text;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!text_of(env, argv[0], &path) || !text_of(env, argv[1], &text)) return nullptr;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  bool sent = false;
  if (!path.empty() && path.size() < sizeof(address.sun_path)) {
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';
    // An abstract name ends where the address does; a path takes its NUL along.
    const size_t length = offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '@' ? 0 : 1);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
      const ssize_t bytes = sendto(fd, text.data(), text.size(), MSG_NOSIGNAL,
                                   reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(length));
      sent = bytes == static_cast<ssize_t>(text.size());
      close(fd);
    }
  }
  napi_value result = nullptr;
  napi_get_boolean(env, sent, &result);
  return result;
}

// What threads that have ended had allocated stays with this process until it is asked for again, or given back here.
napi_value trim_memory(napi_env, napi_callback_info) {
  malloc_trim(0);
  return nullptr;
}

}  // namespace

void register_process(napi_env env, napi_value exports) {
  define(env, exports, "replaceProcess", replace_process);
  define(env, exports, "keepDescriptor", keep_descriptor);
  define(env, exports, "reapChild", reap_child);
  define(env, exports, "sendDatagram", send_datagram);
  define(env, exports, "trimMemory", trim_memory);
}

}  // namespace sluice
