// Connections that are open and say nothing during a run. One that the server closes, as servers do with idle ones, is opened
// again after a moment; that is no error.
#pragma once
#include <memory>
#include <vector>

#include "event-loop.h"
#include "ramp.h"
#include "socket.h"
#include "wait-list.h"

namespace bench {

class IdleCrowd {
 public:
  IdleCrowd(EventLoop& loop, const Address& target, uint64_t count, uint64_t start_ns, uint64_t span_ns)
      : loop_(loop), target_(target), ramp_(count, start_ns, span_ns), members_(std::make_unique<Member[]>(count)) {}

  uint64_t next_ns() const { return std::min(ramp_.next_ns(), reopening_.next_ns()); }

  void expire(uint64_t now) {
    uint64_t number = 0;
    while (ramp_.take(now, &number)) open(members_[number]);
    while (WaitNode* node = reopening_.take(now)) open(*static_cast<Member*>(node));
  }

 private:
  static constexpr uint64_t REOPEN_NS = 100 * NS_PER_MS;

  struct Member final : Watched, WaitNode {
    IdleCrowd* crowd = nullptr;
    int fd = -1;

    ~Member() {
      if (fd >= 0) close(fd);
    }
    void ready(uint32_t events) override {
      if (events & (EPOLLIN | HUNG_UP)) crowd->lose(*this);
    }
  };

  void open(Member& member) {
    member.crowd = this;
    member.fd = begin_connect(target_);
    if (member.fd < 0 || !loop_.watch(member.fd, &member)) lose(member);
  }

  void lose(Member& member) {
    if (member.fd >= 0) close(member.fd);
    member.fd = -1;
    reopening_.set(&member, now_ns() + REOPEN_NS);
  }

  EventLoop& loop_;
  const Address& target_;
  Ramp ramp_;
  WaitList reopening_;
  std::unique_ptr<Member[]> members_;
};

}  // namespace bench
