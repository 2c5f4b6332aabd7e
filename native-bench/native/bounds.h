// Every bound of the load generator and of the mock provider, each with its unit. A spec beyond one is refused.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bench {

constexpr uint64_t CONNECTIONS_MAX = 20'000;
constexpr uint64_t THREADS_MAX = 64;
constexpr uint64_t RATE_PER_SECOND_MAX = 1'000'000;
constexpr uint64_t PHASE_MS_MAX = 600'000;  // warm-up, measured window, drain, time-out: ten minutes each
constexpr uint64_t INTERVAL_MS_MIN = 10;
constexpr uint64_t INTERVALS_MAX = 6'000;   // they are held in memory until the end
constexpr uint64_t REQUESTS_MAX = 1'024;    // kinds of requests in a mix
constexpr uint64_t WEIGHT_MAX = 1'000'000;
constexpr size_t SPEC_BYTES_MAX = 4 << 20;
constexpr size_t BODY_BYTES_MAX = 64 << 20;    // of one request, and what the mock accepts
constexpr size_t BODIES_BYTES_MAX = 256 << 20; // of all requests of a spec
constexpr size_t HEAD_BYTES_MAX = 64 << 10;    // of an answer or a request, as read
constexpr size_t READ_BYTES = 256 << 10;       // one read; larger answers take several
constexpr size_t ANSWER_BYTES_MAX = 64 << 20;  // what the mock makes
constexpr uint64_t CHUNKS_MAX = 100'000;
constexpr int LISTEN_BACKLOG = 4'096;          // the kernel cuts it to net.core.somaxconn

}  // namespace bench
