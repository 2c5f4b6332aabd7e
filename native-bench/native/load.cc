// The load generator: `load SPEC.json` sends what the spec says to a server on this machine, checks every answer, and prints
// histograms and a summary as NDJSON when it is done. Exit code 0: it ran, whatever the answers were; 2: it did not, the
// reason is on stderr.
//
// What the figures mean:
// - `requests` ended in any way; `right` were as expected; `requestsPerSecond` is of those that were right or cut on purpose.
// - a request belongs to the window when it began in it (open loop: was intended); it is waited for in the drain, and what the
//   drain does not bring counts as `timeout`. Bytes, events, connections, gaps and CPU time belong to it when they happened in it.
// - total: of right answers. ttft: first event of a stream, first body byte of another answer. gap: between the arrivals of two
//   events, 0 for those that one read brought; the terminal event has none.
// - in open loops and with streams a time ends when the bytes arrived, as the kernel noted it, and what arrived on a connection
//   within up to 1 ms (open loop) or 200 us may be read at once, with the time of its last part; else when they were read.
// - timeoutMs is for a whole request, from when it was begun in fact.
// - `events` expected and counted include the terminal one.
// - lagMaxNs: open loop: how late a request was begun although a connection was free; closed loop: longest turn of the loop.
// - `begun` counts the requests of the whole run, warm-up included.
// - {"type":"window"} is printed when the measured window begins; everything else at the end.
// - intervals are in Unix time; what the drain brought is in the last one.
// - holdMs: connections stay open for so long when everything was said, or until SIGTERM, for a look at the server meanwhile.
// - a request with a name has its total under that name as well.
#include <poll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>

#include "report.h"
#include "shard.h"

namespace bench {
namespace {

uint64_t wall_ns() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * NS_PER_S + static_cast<uint64_t>(time.tv_nsec);
}

// A descriptor that is readable once the process was asked to end. Every thread watches it and none reads it.
int open_stop_signal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) fail_errno("signalfd");
  return fd;
}

// False: the process was asked to end before.
bool wait_for(uint64_t ns, int stop_fd) {
  const timespec timeout{static_cast<time_t>(ns / NS_PER_S), static_cast<long>(ns % NS_PER_S)};
  pollfd stop{stop_fd, POLLIN, 0};
  return ppoll(&stop, 1, &timeout, nullptr) == 0;
}

// Not when the run is ended before.
void announce_window(const Window& window, int stop_fd) {
  const uint64_t now = now_ns();
  if (!wait_for(window.begin_ns > now ? window.begin_ns - now : 0, stop_fd)) return;
  std::printf("{\"type\":\"window\"}\n");
  std::fflush(stdout);
}

// A shard per thread; this one only waits.
void run(const Spec& spec) {
  const int stop_fd = open_stop_signal();
  const uint64_t wall_start_ns = wall_ns();
  const Window window(spec, now_ns());
  std::vector<std::unique_ptr<Shard>> shards;
  for (uint64_t i = 0; i < spec.threads; i++) shards.push_back(std::make_unique<Shard>(spec, window, i, stop_fd));
  std::vector<std::thread> threads;
  for (const auto& shard : shards) threads.emplace_back([&shard] { shard->run(); });
  announce_window(window, stop_fd);
  for (std::thread& thread : threads) thread.join();
  std::vector<const Tally*> tallies;
  for (const auto& shard : shards) tallies.push_back(&shard->tally());
  print_report(spec, window, wall_start_ns, tallies);
  // The connections belong to the shards.
  if (spec.hold_ns > 0) wait_for(spec.hold_ns, stop_fd);
}

int main_checked(int argc, char** argv) {
  if (argc != 2) fail("usage: load SPEC.json");
  run(read_spec(argv[1]));
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    return bench::main_checked(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "load: %s\n", error.what());
    return 2;
  }
}
