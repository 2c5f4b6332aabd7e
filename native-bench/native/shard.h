// One thread of the load generator: an event loop, its share of the connections, and what happens to them.
//
// Closed loop: every connection is a user that sends its next request when the last one was answered; the time of a request
// that needs a new connection has the connecting in it. Open loop: requests come at a constant rate, and one counts from the
// instant at which it was intended, however late a connection is free for it, so nothing is omitted when answers are slow.
//
// Where nobody waits for the generator to go on at once, it collects: it handles what has arrived every REST_NS instead of
// waking up for every answer, and takes the time of arrival from the kernel. That is so in an open loop, and for users of
// streams. In a closed loop of whole answers it would slow the users down.
//
// A connection that the server ends between requests is replaced and not counted, like that of any HTTP client. Once a byte
// of a request was handed to the kernel, its end without a whole answer counts as `reset`, also on a reused connection: wrk
// counts it as a read error too, and whether the server has seen the request cannot be known.
#pragma once
#include <memory>
#include <vector>

#include "arrivals.h"
#include "connection.h"
#include "idle-crowd.h"
#include "random.h"
#include "tally.h"
#include "window.h"

namespace bench {

class Shard final : public ConnectionOwner {
 public:
  Shard(const Spec& spec, const Window& window, uint64_t thread, int stop_fd);
  ~Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Runs to the end of the drain.
  void run();
  const Tally& tally() const { return tally_; }
  void connection_ready(Connection& connection, uint32_t events) override;

 private:
  struct StopSignal final : Watched {
    bool seen = false;
    void ready(uint32_t) override { seen = true; }
  };

  void turn();
  uint64_t rest_until(uint64_t deadline_ns) const;
  bool finished() const;
  bool arrivals_wait() const { return spec_.open && arrivals_.next_ns() < window_.end_ns; }
  uint64_t next_deadline() const;
  void advance(uint64_t now);
  void cross_borders(uint64_t now);
  void end_window(uint64_t now);
  void give_up_rest();
  void count_unsent();

  void pump(uint64_t now);
  bool has_free() const { return !idle_.empty() || !closed_.empty(); }
  Connection* take_free();
  void set_idle(Connection& connection);
  void forget_idle(Connection& connection);
  const RequestKind& pick();

  void begin(Connection& connection, uint64_t start_ns, uint64_t now);
  void open(Connection& connection, uint64_t now);
  void connected(Connection& connection);
  void send(Connection& connection, uint64_t now);
  void wait_to_write(Connection& connection);
  void receive(Connection& connection, bool hung_up);
  ssize_t read_socket(Connection& connection, uint64_t* arrived_ns);
  uint64_t arrival_of(const Connection& connection, int64_t wall_ns);
  void read_answer(Connection& connection, size_t length, uint64_t now);
  void record_gaps(Connection& connection, bool is_first, uint64_t fresh, uint64_t now);
  bool should_abort(const Connection& connection) const;
  void abort(Connection& connection, uint64_t now);
  void finish(Connection& connection, bool hung_up, uint64_t now);
  void break_off(Connection& connection, Verdict verdict, uint64_t now);
  void end_request(Connection& connection, Verdict verdict, uint64_t now);
  void go_on(Connection& connection, uint64_t now);

  const Spec& spec_;
  Window window_;
  EventLoop loop_;
  Tally tally_;
  Random random_;
  StopSignal stop_;
  std::vector<char> buffer_;
  uint64_t count_;  // of connections
  std::unique_ptr<Connection[]> connections_;
  std::vector<Connection*> idle_;    // last in, first out: few stay warm
  std::vector<Connection*> closed_;
  Arrivals arrivals_;
  Ramp users_;
  IdleCrowd crowd_;
  WaitList timeouts_;  // of running requests
  WaitList parked_;    // users whose connect failed
  const bool wants_stamps_;
  bool collects_ = false;  // once a stamp was seen
  uint64_t last_woke_ns_ = 0;  // before the last turn
  uint64_t looked_ns_ = 0;     // at the end of the last turn
  uint64_t last_total_ns_ = 0; // of the last answer
  uint64_t running_ = 0;
  uint64_t interval_end_ns_;
  bool begun_ = false;
  bool ended_ = false;
  bool over_ = false;     // the drain has no time left
  bool blocked_ = false;  // arrivals wait for a free connection
};

}  // namespace bench
