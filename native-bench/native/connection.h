// One connection of the load generator, with the request that is on it. What to do next is decided by its shard.
#pragma once
#include <cerrno>

#include "event-loop.h"
#include "exchange.h"
#include "wait-list.h"

namespace bench {

class Connection;

// Who is told what happens on a connection.
class ConnectionOwner {
 public:
  virtual void connection_ready(Connection& connection, uint32_t events) = 0;

 protected:
  ~ConnectionOwner() = default;
};

enum class Phase : uint8_t { CLOSED, CONNECTING, BUSY, IDLE };
enum class Sent : uint8_t { ALL, PART, NOTHING, FAILED };

class Connection final : public Watched, public WaitNode {
 public:
  ConnectionOwner* owner = nullptr;
  int fd = -1;
  Phase phase = Phase::CLOSED;
  bool measured = false;  // the request began in the window
  bool aborts = false;    // the request is to be cut
  bool watches_write = false;
  size_t place = 0;       // in the list of idle connections
  uint64_t served = 0;    // requests on this socket
  uint64_t began_ns = 0;  // or was intended to
  uint64_t event_ns = 0;  // when the last event came
  const RequestKind* kind = nullptr;
  Exchange exchange;

  ~Connection() { shut(); }

  void ready(uint32_t events) override { owner->connection_ready(*this, events); }

  void begin(const RequestKind& request, uint64_t start_ns) {
    kind = &request;
    began_ns = start_ns;
    sent_ = 0;
    exchange.begin(&request.expect);
  }

  void shut() {
    if (fd >= 0) close(fd);
    fd = -1;
    served = 0;
    phase = Phase::CLOSED;
  }

  bool any_sent() const { return sent_ > 0; }
  bool all_sent() const { return sent_ == kind->bytes.size(); }

  // Hands the kernel as much of the request as it takes; adds to `*bytes_out`. NOTHING: the socket was dead already, so that
  // nobody can have seen the request.
  Sent send_rest(uint64_t* bytes_out) {
    while (!all_sent()) {
      const ssize_t count = send(fd, kind->bytes.data() + sent_, kind->bytes.size() - sent_, MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN ? Sent::PART : sent_ == 0 ? Sent::NOTHING : Sent::FAILED;
      sent_ += static_cast<size_t>(count);
      *bytes_out += static_cast<uint64_t>(count);
    }
    return Sent::ALL;
  }

 private:
  size_t sent_ = 0;
};

}  // namespace bench
