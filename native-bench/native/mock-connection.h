// A connection to the mock provider: reads a request, waits for the latency, sends the answer, and again. Connections are
// taken from a pool and given back to it, never destroyed while the loop runs.
#pragma once
#include "event-loop.h"
#include "mock-answers.h"
#include "mock-options.h"
#include "random.h"
#include "request-reader.h"
#include "timer-heap.h"
#include "wire.h"

namespace bench {

class MockConnection;

// What all connections share.
struct MockServer {
  const MockOptions options;
  const MockAnswers answers;
  EventLoop loop;
  TimerHeap timers;
  Random random;
  std::vector<char> buffer;

  explicit MockServer(const MockOptions& given)
      : options(given), answers(given), random(given.seed), buffer(READ_BYTES) {}
};

// What becomes of a request.
enum class Fate : uint8_t { ANSWER, ERROR, STALL, RESET };

class MockConnection final : public Watched, public Timer {
 public:
  // `free`: where it puts itself when it ends.
  MockConnection(MockServer& server, std::vector<MockConnection*>& free, std::unique_ptr<Wire> wire)
      : server_(server), free_(free), wire_(std::move(wire)) {}
  ~MockConnection() {
    if (fd_ >= 0) close(fd_);
  }

  void begin(int fd);
  void ready(uint32_t events) override;
  // The time for the next part of the answer has come.
  void due();

 private:
  void receive(bool hung_up);
  void take_bytes(const char* data, size_t length);
  void answer();
  Fate draw_fate();
  uint64_t draw_latency_ns();
  bool breaks() const;
  std::string_view part_bytes() const;
  std::string_view whole_bytes() const;
  void write_part();
  void part_written();
  void answered();
  void end();
  void reset();

  MockServer& server_;
  std::vector<MockConnection*>& free_;
  const std::unique_ptr<Wire> wire_;
  int fd_ = -1;
  bool busy_ = false;       // a request was read and is being answered
  bool stream_ = false;
  Fate fate_ = Fate::ANSWER;
  uint64_t parts_ = 0;      // of the answer
  uint64_t part_ = 0;       // the next one
  uint64_t due_at_ns_ = 0;  // of the part before it
  std::string_view unsent_;
  RequestReader request_;
};

}  // namespace bench
