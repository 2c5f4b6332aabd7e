#include "dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::upstream {
namespace {

// A connection over which nothing comes for so long is asked whether it is still there: a provider that has lost its power is noticed, and
// a NAT on the way does not forget a stream that is thinking.
constexpr int PROBE_AFTER_S = 60;

struct Target {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

bool parse(const char* address, uint16_t port, Target* target) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&target->storage);
  if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    target->length = sizeof(sockaddr_in);
    return true;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&target->storage);
  if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  target->length = sizeof(sockaddr_in6);
  return true;
}

void set_options(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &PROBE_AFTER_S, sizeof(PROBE_AFTER_S));
}

}  // namespace

int dial(const char* address, uint16_t port) {
  Target target;
  if (!parse(address, port, &target)) return -EINVAL;
  const int fd = socket(target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  set_options(fd);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&target.storage), target.length) == 0 || errno == EINPROGRESS) return fd;
  const int reason = errno;
  close(fd);
  return -reason;
}

}  // namespace sluice::upstream
