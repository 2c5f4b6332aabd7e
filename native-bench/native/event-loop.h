// epoll, edge-triggered: a descriptor is added once for everything it may ever wait for, so that no request costs an
// epoll_ctl. Waits end at a deadline in nanoseconds (epoll_pwait2), so that pacing needs neither a timerfd nor spinning.
#pragma once
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include "clock.h"
#include "fault.h"

namespace bench {

// What a descriptor belongs to.
class Watched {
 public:
  virtual void ready(uint32_t events) = 0;

 protected:
  ~Watched() = default;
};

constexpr uint32_t HUNG_UP = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

class EventLoop {
 public:
  EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) fail_errno("epoll_create1");
    // The default slack of 50 us would be added to every wait.
    prctl(PR_SET_TIMERSLACK, 1UL);
  }
  ~EventLoop() { close(epoll_); }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // False when the kind of file cannot be waited for.
  bool watch(int fd, Watched* owner, uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void unwatch(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

  // Waits until something is ready, at most until `deadline_ns`, and hands it out. An owner may close and reopen its own
  // descriptor meanwhile; it must not destroy another owner.
  void turn(uint64_t deadline_ns) {
    const int count = wait(deadline_ns);
    woke_ns_ = count > 0 ? now_ns() : 0;
    for (int i = 0; i < count; i++) {
      const epoll_event& event = events_[static_cast<size_t>(i)];
      static_cast<Watched*>(event.data.ptr)->ready(event.events);
    }
  }

  // When the last turn had something to hand out; 0: it had nothing.
  uint64_t woke_ns() const { return woke_ns_; }

 private:
  int wait(uint64_t deadline_ns) {
    const int size = static_cast<int>(events_.size());
    if (deadline_ns == NEVER) return epoll_pwait2(epoll_, events_.data(), size, nullptr, nullptr);
    const uint64_t now = now_ns();
    const uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    const timespec timeout{static_cast<time_t>(left / NS_PER_S), static_cast<long>(left % NS_PER_S)};
    return epoll_pwait2(epoll_, events_.data(), size, &timeout, nullptr);
  }

  int epoll_;
  uint64_t woke_ns_ = 0;
  std::array<epoll_event, 256> events_;
};

}  // namespace bench
