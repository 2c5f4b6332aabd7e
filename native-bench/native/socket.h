// TCP sockets of the loopback interface, non-blocking and without Nagle's delay. Nothing here reaches another machine.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "bounds.h"
#include "fault.h"

namespace bench {

struct Address {
  sockaddr_storage bytes{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

inline bool ipv4_loopback(const std::string& host, uint16_t port, Address* out) {
  sockaddr_in address{};
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
  if (ntohl(address.sin_addr.s_addr) >> 24 != 127) return false;
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  std::memcpy(&out->bytes, &address, sizeof address);
  out->length = sizeof address;
  return true;
}

inline bool ipv6_loopback(const std::string& host, uint16_t port, Address* out) {
  sockaddr_in6 address{};
  if (inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) != 1) return false;
  if (!IN6_IS_ADDR_LOOPBACK(&address.sin6_addr)) return false;
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  std::memcpy(&out->bytes, &address, sizeof address);
  out->length = sizeof address;
  return true;
}

// No name is resolved: what is not an address of the loopback interface, or "localhost", is refused.
inline Address loopback_address(const std::string& host, uint16_t port) {
  Address address;
  const std::string literal = host == "localhost" ? "127.0.0.1" : host;
  if (ipv4_loopback(literal, port, &address) || ipv6_loopback(literal, port, &address)) return address;
  fail("the target " + host + " is not a loopback address; this program talks to its own machine only");
}

inline void set_option(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

// No delay for small writes, and no pacing: where BBR is the default, it sets a timer per answer, and would shape what is
// measured. Reno is always there, and paces nothing.
inline void set_tcp_options(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

// A socket that is being connected; -1 when not even that was possible.
inline int begin_connect(const Address& to) {
  const int fd = socket(to.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set_tcp_options(fd);
  if (connect(fd, to.get(), to.length) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

inline bool is_connected(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

inline int listen_loopback(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_errno("socket");
  const Address address = loopback_address("127.0.0.1", port);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_tcp_options(fd);  // accepted sockets inherit them
  if (bind(fd, address.get(), address.length) != 0) fail_errno("port " + std::to_string(port));
  if (listen(fd, LISTEN_BACKLOG) != 0) fail_errno("listen");
  return fd;
}

inline uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

// As many descriptors as the system allows. Returns how many that is.
inline uint64_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace bench
