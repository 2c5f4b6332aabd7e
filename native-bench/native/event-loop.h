// epoll, edge-triggered, so that no request costs an epoll_ctl. Waits end at a deadline in nanoseconds without spinning. The
// deadline is a timerfd and not the time-out of epoll_pwait2, because that one sets a timer and takes it back at every wait;
// this one is set only when a deadline is new.
#pragma once
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
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

constexpr uint32_t WATCH_READ = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr uint32_t WATCH_BOTH = WATCH_READ | EPOLLOUT;
constexpr uint32_t HUNG_UP = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

class EventLoop {
 public:
  EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
    // For rest(): the default slack is 50 us. Threads that this one starts inherit it.
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (epoll_ < 0 || timer_ < 0) fail_errno("epoll_create1 or timerfd_create");
    // Edge-triggered: an expiry wakes once, and nobody has to read it.
    if (!watch(timer_, nullptr, EPOLLIN | EPOLLET)) fail_errno("epoll_ctl");
  }
  ~EventLoop() {
    close(timer_);
    close(epoll_);
  }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // False when the kind of file cannot be waited for.
  bool watch(int fd, Watched* owner, uint32_t events = WATCH_BOTH) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  // Waits for something else from now on; what is already the case is handed out once more.
  void rewatch(int fd, Watched* owner, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = owner;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
  }

  // Does nothing until then, whatever becomes ready.
  static void rest(uint64_t until_ns) {
    const timespec when{static_cast<time_t>(until_ns / NS_PER_S), static_cast<long>(until_ns % NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
  }

  // Waits until something is ready, at most until `deadline_ns`, and hands it out. An owner may close and reopen its own
  // descriptor meanwhile; it must not destroy another owner.
  void turn(uint64_t deadline_ns) {
    const int count = wait(deadline_ns);
    woke_ns_ = count > 0 ? now_ns() : 0;
    for (int i = 0; i < count; i++) {
      const epoll_event& event = events_[static_cast<size_t>(i)];
      if (event.data.ptr == nullptr) {
        armed_ns_ = NEVER;
      } else {
        static_cast<Watched*>(event.data.ptr)->ready(event.events);
      }
    }
  }

  // When the last turn had something to hand out; 0: it had nothing.
  uint64_t woke_ns() const { return woke_ns_; }

 private:
  int wait(uint64_t deadline_ns) {
    const int size = static_cast<int>(events_.size());
    if (deadline_ns >= armed_ns_) return epoll_wait(epoll_, events_.data(), size, -1);
    // A deadline that has passed needs no timer: only what is ready already is handed out.
    if (deadline_ns <= now_ns()) return epoll_wait(epoll_, events_.data(), size, 0);
    arm(deadline_ns);
    return epoll_wait(epoll_, events_.data(), size, -1);
  }

  void arm(uint64_t deadline_ns) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(deadline_ns / NS_PER_S);
    when.it_value.tv_nsec = static_cast<long>(deadline_ns % NS_PER_S);
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
    armed_ns_ = deadline_ns;
  }

  int epoll_;
  int timer_;
  uint64_t armed_ns_ = NEVER;  // when the timer goes off
  uint64_t woke_ns_ = 0;
  std::array<epoll_event, 256> events_;
};

}  // namespace bench
