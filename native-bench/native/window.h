// The times of a run: warm-up, measured window, drain. All threads share them.
#pragma once
#include "spec.h"

namespace bench {

struct Window {
  uint64_t start_ns;
  uint64_t begin_ns;  // of what is measured
  uint64_t end_ns;
  uint64_t last_ns;   // nothing is waited for beyond it

  Window(const Spec& spec, uint64_t start)
      : start_ns(start),
        begin_ns(start + spec.warm_up_ns),
        end_ns(begin_ns + spec.duration_ns),
        last_ns(end_ns + spec.drain_ns) {}

  bool has(uint64_t time_ns) const { return time_ns >= begin_ns && time_ns < end_ns; }
};

}  // namespace bench
