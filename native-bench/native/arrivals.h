// The schedule of an open loop: request k is intended at start + k / rate, whether or not the one before was answered. One
// thread of several has every n-th request.
#pragma once
#include <cmath>

#include "window.h"

namespace bench {

class Arrivals {
 public:
  Arrivals(const Spec& spec, const Window& window, uint64_t thread)
      : start_ns_(window.start_ns), spacing_ns_(1e9 / spec.rate_per_second), next_(thread), step_(spec.threads) {}

  uint64_t next_ns() const { return start_ns_ + static_cast<uint64_t>(static_cast<double>(next_) * spacing_ns_); }
  void advance() { next_ += step_; }

 private:
  uint64_t start_ns_;
  double spacing_ns_;
  uint64_t next_;
  uint64_t step_;
};

}  // namespace bench
