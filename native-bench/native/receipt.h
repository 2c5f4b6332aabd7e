// Reading from a socket with the time at which the bytes arrived, as the kernel noted it. A reader that is late, because
// the machine was busy or because it collects several answers in one turn, measures the server all the same, and not itself.
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

#include "clock.h"
#include "socket.h"

namespace bench {

// Unix time, which the kernel's stamps are in.
inline int64_t wall_now_ns() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<int64_t>(time.tv_sec) * static_cast<int64_t>(NS_PER_S) + time.tv_nsec;
}

inline void ask_for_stamps(int fd) { set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1); }

// As recv(). `*wall_ns`: when the last of these bytes arrived; 0: not known.
inline ssize_t receive_stamped(int fd, char* data, size_t size, int64_t* wall_ns) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  iovec part{data, size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t count = recvmsg(fd, &message, 0);
  *wall_ns = 0;
  const cmsghdr* const header = count > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SO_TIMESTAMPNS) return count;
  timespec stamp;
  std::memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
  *wall_ns = static_cast<int64_t>(stamp.tv_sec) * static_cast<int64_t>(NS_PER_S) + stamp.tv_nsec;
  return count;
}

}  // namespace bench
