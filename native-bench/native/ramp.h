// Opens many connections evenly instead of at once: a burst would overflow the listen queue of the contestant, and users that
// all began at the same time would stay in step.
#pragma once
#include <algorithm>

#include "clock.h"

namespace bench {

class Ramp {
 public:
  // All within `span_ns` from `start_ns`, and never more than one per `PACE_NS_MIN`.
  Ramp(uint64_t count, uint64_t start_ns, uint64_t span_ns)
      : count_(count), start_ns_(start_ns), pace_ns_(count == 0 ? 0 : std::max(PACE_NS_MIN, span_ns / count)) {}

  uint64_t next_ns() const { return next_ < count_ ? start_ns_ + next_ * pace_ns_ : NEVER; }

  // The number of the next one that is due; false when there is none.
  bool take(uint64_t now, uint64_t* number) {
    if (next_ns() > now) return false;
    *number = next_++;
    return true;
  }

  void stop() { count_ = next_; }

 private:
  static constexpr uint64_t PACE_NS_MIN = 20 * NS_PER_US;

  uint64_t count_;
  uint64_t start_ns_;
  uint64_t pace_ns_;
  uint64_t next_ = 0;
};

}  // namespace bench
