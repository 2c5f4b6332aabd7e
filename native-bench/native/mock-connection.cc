// A connection to the mock provider; see mock-connection.h.
#include "mock-connection.h"

#include "socket.h"

namespace bench {

void MockConnection::begin(int fd) {
  fd_ = fd;
  wire_->begin(fd);
  request_.reset();
  busy_ = false;
  unsent_ = {};
  if (!server_.loop.watch(fd, this)) end();
}

void MockConnection::ready(uint32_t events) {
  if (fd_ < 0) return;
  if (!unsent_.empty() && (events & EPOLLOUT)) write_part();
  if (fd_ >= 0 && (events & (EPOLLIN | HUNG_UP))) receive(events & HUNG_UP);
}

// Edge-triggered: a read that does not fill the buffer has emptied the kernel's.
void MockConnection::receive(bool hung_up) {
  for (;;) {
    std::vector<char>& buffer = server_.buffer;
    const ssize_t count = wire_->receive(buffer.data(), buffer.size());
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return end();
    take_bytes(buffer.data(), static_cast<size_t>(count));
    if (fd_ < 0 || (wire_->emptied(static_cast<size_t>(count), buffer.size()) && !hung_up)) return;
  }
}

// A second request before the answer to the first is not understood: pipelining has no use here, so it ends the connection.
void MockConnection::take_bytes(const char* data, size_t length) {
  if (busy_) return end();
  const size_t used = request_.feed(data, length);
  if (request_.bad()) {
    unsent_ = server_.answers.malformed;
    busy_ = true;
    return write_part();
  }
  if (!request_.done()) return;
  if (used < length) return end();
  answer();
}

void MockConnection::answer() {
  const MockOptions& options = server_.options;
  busy_ = true;
  part_ = 0;
  fate_ = draw_fate();
  stream_ = fate_ != Fate::ERROR && request_.asked() == Asked::COMPLETION && request_.wants_stream();
  // Opening with the first event, further events, closing.
  parts_ = stream_ && options.chunk_delay_ns > 0 ? std::max<uint64_t>(options.chunks, 1) + 1 : 1;
  if (fate_ == Fate::STALL && !stream_) return;
  const uint64_t wait_ns = draw_latency_ns();
  if (wait_ns == 0 && parts_ == 1) return due();
  due_at_ns_ = now_ns() + wait_ns;
  if (wait_ns == 0) return due();
  server_.timers.set(this, due_at_ns_);
}

Fate MockConnection::draw_fate() {
  const MockOptions& options = server_.options;
  if (options.error_share + options.stall_share + options.reset_share == 0) return Fate::ANSWER;
  double ticket = server_.random.unit();
  if (ticket < options.error_share) return Fate::ERROR;
  ticket -= options.error_share;
  if (ticket < options.stall_share) return Fate::STALL;
  return ticket - options.stall_share < options.reset_share ? Fate::RESET : Fate::ANSWER;
}

uint64_t MockConnection::draw_latency_ns() {
  const MockOptions& options = server_.options;
  if (options.jitter_ns == 0) return options.latency_ns;
  const double shift = (2 * server_.random.unit() - 1) * static_cast<double>(options.jitter_ns);
  return static_cast<uint64_t>(std::max(0.0, static_cast<double>(options.latency_ns) + shift));
}

void MockConnection::due() {
  unsent_ = part_bytes();
  // An answer in one part breaks in the middle of it, one in several between two of them.
  if (breaks() && parts_ == 1) unsent_ = unsent_.substr(0, unsent_.size() / 2);
  part_++;
  write_part();
}

bool MockConnection::breaks() const { return fate_ == Fate::STALL || fate_ == Fate::RESET; }

std::string_view MockConnection::part_bytes() const {
  const MockAnswers& answers = server_.answers;
  if (!stream_) return whole_bytes();
  if (parts_ == 1) return answers.stream.at_once;
  if (part_ == 0) return answers.stream.opening;
  return part_ + 1 < parts_ ? answers.stream.event : answers.stream.closing;
}

std::string_view MockConnection::whole_bytes() const {
  const MockAnswers& answers = server_.answers;
  if (fate_ == Fate::ERROR) return answers.error;
  switch (request_.asked()) {
    case Asked::COMPLETION: return answers.completion;
    case Asked::EMBEDDINGS: return answers.embeddings;
    case Asked::MODELS: return answers.models;
    default: return answers.not_found;
  }
}

void MockConnection::write_part() {
  while (!unsent_.empty()) {
    const ssize_t count = wire_->transmit(unsent_.data(), unsent_.size());
    if (count < 0 && errno == EAGAIN) return;  // goes on when the client has read
    if (count < 0) return end();
    unsent_.remove_prefix(static_cast<size_t>(count));
  }
  part_written();
}

void MockConnection::part_written() {
  if (request_.bad()) return end();
  if (breaks() && 2 * part_ >= parts_) {
    if (fate_ == Fate::RESET) reset();
    return;
  }
  if (part_ == parts_) return answered();
  // From when this part was due, not from when it was written: the pace does not drift.
  due_at_ns_ += server_.options.chunk_delay_ns;
  server_.timers.set(this, due_at_ns_);
}

void MockConnection::answered() {
  if (!request_.keeps_alive()) return end();
  busy_ = false;
  request_.reset();
}

void MockConnection::end() {
  server_.timers.clear(this);
  wire_->end();
  close(fd_);
  fd_ = -1;
  free_.push_back(this);
}

void MockConnection::reset() {
  const linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  end();
}

}  // namespace bench
