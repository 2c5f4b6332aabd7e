// One thread of the load generator; see shard.h.
#include "shard.h"

#include "bounds.h"
#include "receipt.h"

namespace bench {
namespace {

// A user whose connect failed tries again after this.
constexpr uint64_t PARK_NS = 10 * NS_PER_MS;
constexpr uint64_t RAMP_NS_MAX = NS_PER_S;

// While it collects: at least this long from one turn to the next.
constexpr uint64_t REST_NS = 200 * NS_PER_US;
constexpr uint64_t ARRIVAL_REST_NS_MAX = NS_PER_MS;
// A user of a closed loop loses a part in so many at most.
constexpr uint64_t ANSWER_RESTS_MIN = 100;

bool has_stream(const Spec& spec) {
  for (const RequestKind& kind : spec.requests) {
    if (kind.expect.stream) return true;
  }
  return false;
}

uint64_t share_of(uint64_t total, uint64_t thread, uint64_t threads) {
  return total / threads + (thread < total % threads ? 1 : 0);
}

}  // namespace

Shard::Shard(const Spec& spec, const Window& window, uint64_t thread, int stop_fd)
    : spec_(spec),
      window_(window),
      tally_(spec.metrics.size()),
      random_(thread + 1),
      buffer_(READ_BYTES),
      count_(share_of(spec.connections, thread, spec.threads)),
      connections_(std::make_unique<Connection[]>(count_)),
      arrivals_(spec, window, thread),
      users_(spec.open ? 0 : count_, window.start_ns, std::min(RAMP_NS_MAX, spec.warm_up_ns / 2)),
      crowd_(loop_, spec.target, share_of(spec.idle_connections, thread, spec.threads), window.start_ns,
             std::min(RAMP_NS_MAX, spec.warm_up_ns / 2)),
      wants_stamps_(spec.open || has_stream(spec)),
      interval_end_ns_(window.begin_ns + spec.interval_ns) {
  for (uint64_t i = 0; i < count_; i++) connections_[i].owner = this;
  if (spec.open) {
    for (uint64_t i = count_; i > 0; i--) closed_.push_back(&connections_[i - 1]);
  }
  loop_.watch(stop_fd, &stop_, EPOLLIN);
}

void Shard::run() {
  while (!finished()) {
    turn();
    const uint64_t now = now_ns();
    // What came last in this turn waited for all that was handled before it: at most this long.
    if (!spec_.open && loop_.woke_ns() > 0) tally_.lag_max_ns = std::max(tally_.lag_max_ns, now - loop_.woke_ns());
    looked_ns_ = now;
    advance(now);
  }
  give_up_rest();
}

void Shard::turn() {
  const uint64_t deadline_ns = next_deadline();
  const uint64_t until_ns = collects_ ? rest_until(deadline_ns) : 0;
  last_woke_ns_ = loop_.woke_ns();
  if (until_ns == 0) return loop_.turn(deadline_ns);
  EventLoop::rest(until_ns);
  // What is intended by now goes first: it shall not wait for answers to be read.
  if (spec_.open) pump(now_ns());
  loop_.turn(0);
}

// When to look again; 0: as soon as there is something. An arrival that is near is waited for; else it rests while there would be
// more than one turn per rest. Not when that keeps anybody waiting who would notice: requests that need a connection that
// an answer sets free, or users whose answers take hardly longer than a rest.
uint64_t Shard::rest_until(uint64_t deadline_ns) const {
  if (spec_.open ? blocked_ : last_total_ns_ < ANSWER_RESTS_MIN * REST_NS) return 0;
  const uint64_t arrival_ns = arrivals_wait() && has_free() ? arrivals_.next_ns() : NEVER;
  if (arrival_ns < looked_ns_ + ARRIVAL_REST_NS_MAX) return std::min(deadline_ns, arrival_ns);
  const uint64_t woke_ns = loop_.woke_ns();
  return woke_ns - last_woke_ns_ < 2 * REST_NS ? std::min(deadline_ns, woke_ns + REST_NS) : 0;
}

bool Shard::finished() const { return stop_.seen || over_ || (ended_ && running_ == 0 && !arrivals_wait()); }

uint64_t Shard::next_deadline() const {
  uint64_t next = !begun_ ? window_.begin_ns : !ended_ ? std::min(window_.end_ns, interval_end_ns_) : window_.last_ns;
  next = std::min({next, timeouts_.next_ns(), parked_.next_ns(), users_.next_ns(), crowd_.next_ns()});
  return arrivals_wait() && has_free() ? std::min(next, arrivals_.next_ns()) : next;
}

// Everything that happens by the clock.
void Shard::advance(uint64_t now) {
  cross_borders(now);
  while (WaitNode* node = timeouts_.take(now)) {
    Connection& connection = *static_cast<Connection*>(node);
    break_off(connection, connection.phase == Phase::CONNECTING ? Verdict::CONNECT : Verdict::TIMEOUT, now);
  }
  while (WaitNode* node = parked_.take(now)) go_on(*static_cast<Connection*>(node), now);
  uint64_t number = 0;
  while (users_.take(now, &number)) go_on(connections_[number], now);
  crowd_.expire(now);
  if (spec_.open) pump(now);
}

void Shard::cross_borders(uint64_t now) {
  if (!begun_ && now >= window_.begin_ns) {
    begun_ = true;
    tally_.begin_window();
  }
  while (!ended_ && now >= interval_end_ns_ && interval_end_ns_ < window_.end_ns) {
    tally_.end_interval();
    interval_end_ns_ += spec_.interval_ns;
  }
  if (!ended_ && (now >= window_.end_ns || stop_.seen)) end_window(now);
  over_ = now >= window_.last_ns;
}

void Shard::end_window(uint64_t now) {
  ended_ = true;
  window_.end_ns = std::min(window_.end_ns, now);
  users_.stop();
  if (!begun_) tally_.begin_window();
  tally_.end_window(window_.end_ns > window_.begin_ns ? window_.end_ns - window_.begin_ns : 0);
}

// At the end of the drain: an answer that still runs has had its time. Ended early by a signal, it is not judged.
void Shard::give_up_rest() {
  const uint64_t now = now_ns();
  while (WaitNode* node = timeouts_.take(NEVER)) {
    Connection& connection = *static_cast<Connection*>(node);
    connection.measured = connection.measured && !stop_.seen;
    connection.shut();
    end_request(connection, Verdict::TIMEOUT, now);
  }
  if (!stop_.seen) count_unsent();
  tally_.end_interval();
}

void Shard::count_unsent() {
  for (; arrivals_wait(); arrivals_.advance()) {
    if (window_.has(arrivals_.next_ns())) tally_.unsent++;
  }
}

// Open loop: begins what is intended by now, as far as there are connections.
void Shard::pump(uint64_t now) {
  while (arrivals_wait() && arrivals_.next_ns() <= now) {
    if (!has_free()) {
      blocked_ = true;
      return;
    }
    const uint64_t intended = arrivals_.next_ns();
    if (!blocked_) tally_.lag_max_ns = std::max(tally_.lag_max_ns, now - intended);
    arrivals_.advance();
    begin(*take_free(), intended, now);
  }
  blocked_ = false;
}

Connection* Shard::take_free() {
  std::vector<Connection*>& from = idle_.empty() ? closed_ : idle_;
  Connection* connection = from.back();
  from.pop_back();
  return connection;
}

void Shard::set_idle(Connection& connection) {
  connection.phase = Phase::IDLE;
  connection.place = idle_.size();
  idle_.push_back(&connection);
}

// The server ended a connection that nothing was asked on, or said something on it that nobody asked for.
void Shard::forget_idle(Connection& connection) {
  idle_[connection.place] = idle_.back();
  idle_[connection.place]->place = connection.place;
  idle_.pop_back();
  connection.shut();
  closed_.push_back(&connection);
}

const RequestKind& Shard::pick() {
  if (spec_.requests.size() == 1) return spec_.requests[0];
  uint64_t ticket = random_.next() % spec_.weights;
  for (const RequestKind& kind : spec_.requests) {
    if (ticket < kind.weight) return kind;
    ticket -= kind.weight;
  }
  return spec_.requests.back();
}

void Shard::begin(Connection& connection, uint64_t start_ns, uint64_t now) {
  connection.begin(pick(), start_ns);
  connection.measured = window_.has(start_ns);
  connection.aborts = spec_.abort_share > 0 && random_.unit() < spec_.abort_share;
  running_++;
  tally_.begun++;
  timeouts_.set(&connection, now + spec_.timeout_ns);
  if (connection.phase == Phase::CLOSED) return open(connection, now);
  connection.phase = Phase::BUSY;
  send(connection, now);
}

void Shard::open(Connection& connection, uint64_t now) {
  connection.fd = begin_connect(spec_.target);
  if (connection.fd < 0) return break_off(connection, Verdict::CONNECT, now);
  connection.phase = Phase::CONNECTING;
  // On the loopback interface the connection mostly stands when connect() returns: then the request goes out at once, and there
  // is nothing to wait for but the answer.
  if (wants_stamps_) ask_for_stamps(connection.fd);
  const Sent sent = connection.send_rest(&tally_.flows.bytes_out);
  if (sent == Sent::NOTHING) return break_off(connection, Verdict::CONNECT, now);
  if (connection.any_sent()) connected(connection);
  connection.watches_write = sent == Sent::PART;
  const uint32_t events = connection.watches_write ? WATCH_BOTH : WATCH_READ;
  if (!loop_.watch(connection.fd, &connection, events)) break_off(connection, Verdict::CONNECT, now);
}

void Shard::connected(Connection& connection) {
  tally_.flows.connections_opened++;
  connection.phase = Phase::BUSY;
}

void Shard::connection_ready(Connection& connection, uint32_t events) {
  if (connection.phase == Phase::IDLE) {
    if (events & (EPOLLIN | HUNG_UP)) forget_idle(connection);
    return;
  }
  if (connection.phase == Phase::CONNECTING) {
    if (events & (EPOLLERR | EPOLLHUP)) return break_off(connection, Verdict::CONNECT, now_ns());
    connected(connection);
  }
  if (!connection.all_sent() && (events & EPOLLOUT)) send(connection, now_ns());
  if (connection.phase == Phase::BUSY && (events & (EPOLLIN | HUNG_UP))) receive(connection, events & HUNG_UP);
}

void Shard::send(Connection& connection, uint64_t now) {
  const Sent sent = connection.send_rest(&tally_.flows.bytes_out);
  if (sent == Sent::ALL) return;
  if (sent == Sent::PART) return wait_to_write(connection);
  if (sent == Sent::NOTHING && connection.served > 0) {
    connection.shut();
    return open(connection, now);
  }
  // An answer may have come before the server ended the connection: the read will tell.
  receive(connection, true);
}

void Shard::wait_to_write(Connection& connection) {
  if (connection.watches_write) return;
  connection.watches_write = true;
  loop_.rewatch(connection.fd, &connection, WATCH_BOTH);
}

// Edge-triggered: reads until the kernel has no more. A read that does not fill the buffer has emptied it.
void Shard::receive(Connection& connection, bool hung_up) {
  for (;;) {
    uint64_t now = 0;
    const ssize_t count = read_socket(connection, &now);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      if (count == 0 && connection.exchange.end()) return finish(connection, true, now);
      return break_off(connection, Verdict::RESET, now);
    }
    const size_t length = static_cast<size_t>(count);
    tally_.flows.bytes_in += length;
    read_answer(connection, length, now);
    if (should_abort(connection)) return abort(connection, now);
    if (connection.exchange.over()) return finish(connection, hung_up, now);
    if (length < buffer_.size() && !hung_up) return;
  }
}

ssize_t Shard::read_socket(Connection& connection, uint64_t* arrived_ns) {
  if (!wants_stamps_) {
    const ssize_t count = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    *arrived_ns = now_ns();
    return count;
  }
  int64_t wall_ns = 0;
  const ssize_t count = receive_stamped(connection.fd, buffer_.data(), buffer_.size(), &wall_ns);
  const int error = errno;
  *arrived_ns = arrival_of(connection, wall_ns);
  if (count > 0) collects_ = wall_ns != 0;
  errno = error;
  return count;
}

// Without a stamp, or with one that cannot be (Unix time was set meanwhile): now.
uint64_t Shard::arrival_of(const Connection& connection, int64_t wall_ns) {
  const uint64_t now = now_ns();
  const int64_t age_ns = wall_now_ns() - wall_ns;
  const uint64_t earliest = std::max(connection.began_ns, connection.event_ns);
  if (!collects_ || wall_ns == 0 || age_ns < 0 || earliest > now) return now;
  return static_cast<uint64_t>(age_ns) > now - earliest ? now : now - static_cast<uint64_t>(age_ns);
}

void Shard::read_answer(Connection& connection, size_t length, uint64_t now) {
  const bool was_first = connection.exchange.first_seen();
  const uint64_t all_before = connection.exchange.events();
  const uint64_t before = connection.exchange.content_events();
  connection.exchange.feed(buffer_.data(), length);
  tally_.flows.events += connection.exchange.events() - all_before;
  if (!was_first && connection.exchange.first_seen() && connection.measured) tally_.record(TTFT, now - connection.began_ns);
  const uint64_t fresh = connection.exchange.content_events() - before;
  if (fresh > 0) record_gaps(connection, before == 0, fresh, now);
}

// A gap per event, between its arrival and that of the one before. Events that one read brought came together: their gaps
// are 0, because that is what the client sees of them.
void Shard::record_gaps(Connection& connection, bool is_first, uint64_t fresh, uint64_t now) {
  if (window_.has(now)) {
    if (!is_first) tally_.record(GAP, now - connection.event_ns);
    if (fresh > 1) tally_.record(GAP, 0, fresh - 1);
  }
  connection.event_ns = now;
}

// An answer that came whole before it could be cut is an answer.
bool Shard::should_abort(const Connection& connection) const {
  if (!connection.aborts || connection.exchange.over()) return false;
  if (!connection.exchange.is_stream()) return connection.exchange.body_bytes() > 0;
  return connection.exchange.content_events() >= spec_.abort_after_events;
}

void Shard::abort(Connection& connection, uint64_t now) {
  connection.shut();
  if (connection.measured) tally_.aborted++;
  connection.measured = false;
  end_request(connection, Verdict::RIGHT, now);
  go_on(connection, wants_stamps_ ? now_ns() : now);
}

void Shard::finish(Connection& connection, bool hung_up, uint64_t now) {
  connection.served++;
  const bool used_up = spec_.requests_per_connection > 0 && connection.served >= spec_.requests_per_connection;
  if (hung_up || used_up || !connection.exchange.keeps_alive() || !connection.all_sent()) connection.shut();
  last_total_ns_ = now - connection.began_ns;
  end_request(connection, connection.exchange.verdict(), now);
  // What begins next begins now, not when the answer arrived.
  go_on(connection, wants_stamps_ ? now_ns() : now);
}

// The request came to nothing. A user whose connect failed waits a moment, or this would be a busy loop.
void Shard::break_off(Connection& connection, Verdict verdict, uint64_t now) {
  connection.shut();
  end_request(connection, verdict, now);
  if (verdict != Verdict::CONNECT) return go_on(connection, now);
  if (spec_.open) {
    closed_.push_back(&connection);
  } else {
    parked_.set(&connection, now + PARK_NS);
  }
}

void Shard::end_request(Connection& connection, Verdict verdict, uint64_t now) {
  WaitList::clear(&connection);
  running_--;
  if (!connection.measured) return;
  tally_.verdicts[static_cast<size_t>(verdict)]++;
  if (verdict != Verdict::RIGHT) return;
  tally_.record(TOTAL, now - connection.began_ns);
  if (connection.kind->metric != 0) tally_.record(connection.kind->metric, now - connection.began_ns);
}

// What the connection does next.
void Shard::go_on(Connection& connection, uint64_t now) {
  if (!spec_.open) {
    if (!ended_) begin(connection, now, now);
    return;
  }
  if (connection.phase == Phase::CLOSED) {
    closed_.push_back(&connection);
  } else {
    set_idle(connection);
  }
  pump(now);
}

}  // namespace bench
