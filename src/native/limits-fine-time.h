// The time of rates: nanoseconds and a fraction in 2^-32, so that what a unit moves it by is whole. Shared by the parts of LimitsProgram.
#pragma once
#include "limits-program.h"

namespace sluice {

constexpr int FRACTION_BITS = 32;

inline SignedWide fine(int64_t ns, uint32_t fraction = 0) { return (static_cast<SignedWide>(ns) << FRACTION_BITS) + fraction; }
inline SignedWide full_at(const Bucket& bucket) { return fine(bucket.rate.full_at_ns, bucket.rate.full_at_fraction); }

inline void set_full_at(Bucket& bucket, SignedWide at) {
  // A correction can be larger than all that a limit gives in centuries.
  if (at > fine(INT64_MAX)) at = fine(INT64_MAX);
  bucket.rate.full_at_fraction = static_cast<uint32_t>(at);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  bucket.rate.full_at_ns = static_cast<int64_t>(at >> FRACTION_BITS);
}

inline Wide unit_of(const Bucket& bucket) { return static_cast<Wide>(bucket.rate.unit_high) << 64 | bucket.rate.unit_low; }

inline void set_unit(Bucket& bucket, Wide unit) {
  bucket.rate.unit_high = static_cast<uint32_t>(unit >> 64);
  bucket.rate.unit_low = static_cast<uint64_t>(unit);
}

}  // namespace sluice
