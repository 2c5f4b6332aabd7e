// The one clock: monotonic nanoseconds, read without a system call.
#pragma once
#include <time.h>

#include <cstdint>

namespace bench {

constexpr uint64_t NS_PER_US = 1'000;
constexpr uint64_t NS_PER_MS = 1'000'000;
constexpr uint64_t NS_PER_S = 1'000'000'000;
constexpr uint64_t NEVER = UINT64_MAX;

inline uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * NS_PER_S + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace bench
