#include "connection.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dial.h"
#include "hub.h"

namespace sluice::upstream {
namespace {

// What is encrypted before the socket takes it, at most.
constexpr size_t SLICE_BYTES = 65536;
// A head and a body that fit go into one record.
constexpr size_t RECORD_BYTES = 16384;

// What is kept of the memory for encrypted bytes.
constexpr size_t WIRE_KEPT_BYTES = 2 * SLICE_BYTES;

size_t iov_length(const iovec* parts, size_t count) { return parts[0].iov_len + (count == 2 ? parts[1].iov_len : 0); }

bool is_temporary(int reason) { return reason == EAGAIN || reason == EWOULDBLOCK || reason == EINTR; }

}  // namespace

int32_t Connection::open(Hub* hub, const char* address, uint16_t port, std::unique_ptr<TlsStream> tls) {
  if (hub->table.is_full()) return -1;
  Connection* connection = new Connection(hub, dial(address, port), std::move(tls));
  connection->id_ = hub->table.enter(connection);
  if (connection->fd_ < 0) hub->call_later(connection->id_);
  return connection->id_;
}

Connection::Connection(Hub* hub, int fd, std::unique_ptr<TlsStream> tls)
    : hub_(hub), fd_(fd), tls_(std::move(tls)), parser_(&hub->rules) {
  if (fd_ >= 0 && uv_poll_init(hub->loop, &poll_, fd_) != 0) {
    ::close(fd_);
    fd_ = -EBADF;
  }
  if (fd_ < 0) {
    due_error_ = -fd_;
    return;
  }
  poll_.data = this;
  hub->handle_opened();
  update_interest();
}

void Connection::come_due() {
  if (due_error_ == TLS_ERROR) lost_by_tls();
  else lost(Cause::SYSTEM, due_error_);
}

bool Connection::send(const Bytes& head, const Bytes& body, napi_value body_value, size_t ready, bool head_request) {
  if (used_ && !is_quiet()) return false;
  parser_.begin(head_request);
  outgoing_.begin(head, body, ready);
  const bool up = is_up();
  if (up) begin_request();
  else waiting_ = true;
  if (!outgoing_.done()) outgoing_.keep(hub_->env, body_value);
  if (up) update_interest();
  return true;
}

// Nothing is tried where the socket has not taken all of what it was given before: it tells when it takes more.
void Connection::release(size_t ready) {
  const bool behind = unsent_.length() != 0 || !outgoing_.empty();
  outgoing_.release(ready);
  if (state_ != State::ACTIVE || behind || outgoing_.empty()) return;
  write();
  update_interest();
}

// What is in the socket already would be taken for the answer, and the answer for that of the next request, of another client. The
// tickets of TLS 1.3 come before the first response.
bool Connection::is_quiet() const {
  char byte = 0;
  return recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && is_temporary(errno);
}

void Connection::begin_request() {
  state_ = State::ACTIVE;
  waiting_ = false;
  keep_loop(true);
  write();
}

void Connection::pause(bool paused) {
  if (state_ != State::ACTIVE || paused == paused_) return;
  paused_ = paused;
  hung_up_ = false;
  update_interest();
}

void Connection::close() {
  if (state_ == State::CLOSED) return;
  state_ = State::CLOSED;
  hub_->table.leave(id_);
  outgoing_.drop(hub_->env);
  if (fd_ < 0) {
    delete this;
    return;
  }
  if (tls_ != nullptr) {
    tls_->end();
    drain_wire();
  }
  tls_.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), on_closed);
  ::close(fd_);
}

void Connection::on_closed(uv_handle_t* handle) {
  Connection* self = static_cast<Connection*>(handle->data);
  Hub* hub = self->hub_;
  delete self;
  hub->handle_closed();
}

void Connection::on_poll(uv_poll_t* handle, int status, int events) {
  Connection* self = static_cast<Connection*>(handle->data);
  if (status < 0) {
    // libuv stops asking when there is an error; what came before it is still to be read, and reading gives the error.
    self->interest_ = 0;
    events = UV_READABLE;
  }
  self->hub_->make_room();
  if (self->state_ != State::CLOSED) self->become_ready(events);
  if (self->state_ != State::CLOSED) self->update_interest();
}

void Connection::become_ready(int events) {
  if (state_ == State::CONNECTING) {
    finish_connect();
    return;
  }
  if ((events & UV_WRITABLE) != 0) write();
  if (state_ == State::CLOSED || (events & (UV_READABLE | UV_DISCONNECT)) == 0) return;
  if (paused_) hung_up_ = true;
  else if (!may_wait()) read();
}

void Connection::finish_connect() {
  int reason = 0;
  socklen_t length = sizeof(reason);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &reason, &length);
  if (reason != 0) {
    lost(Cause::SYSTEM, reason);
    return;
  }
  if (tls_ == nullptr) {
    connected();
    return;
  }
  state_ = State::HANDSHAKING;
  handshake();
}

void Connection::connected() {
  state_ = State::IDLE;
  hub_->batch.add(id_, Kind::CONNECTED)[0] = tls_ != nullptr && tls_->resumed() ? 1 : 0;
  if (waiting_) begin_request();
  else keep_loop(false);
}

// ---- reading

// Whether it is more of an answer, of which all that had come was read a moment ago. epoll tells of it again in the next turn.
bool Connection::may_wait() const {
  if (hub_->patience_ms == 0 || state_ != State::ACTIVE || !parser_.answered) return false;
  return uv_now(hub_->loop) - emptied_ms_ < hub_->patience_ms;
}

// A read of so much leaves more of it there, or nothing.
void Connection::note_read(ssize_t length) {
  emptied_ms_ = length < static_cast<ssize_t>(READ_BYTES) ? uv_now(hub_->loop) : 0;
}

void Connection::read() {
  if (tls_ == nullptr) read_plain();
  else read_encrypted();
}

void Connection::read_plain() {
  uint8_t* room = hub_->batch.room();
  const ssize_t length = recv(fd_, room, READ_BYTES, 0);
  note_read(length);
  if (length > 0) {
    hub_->batch.keep(static_cast<size_t>(length));
    feed(room, static_cast<size_t>(length));
  } else {
    read_nothing(length);
  }
}

void Connection::read_nothing(ssize_t length) {
  if (length == 0) ended(tls_ == nullptr);
  else if (!is_temporary(errno)) lost(Cause::SYSTEM, errno);
}

void Connection::read_encrypted() {
  const ssize_t length = recv(fd_, hub_->sealed.data(), READ_BYTES, 0);
  note_read(length);
  if (length <= 0) {
    read_nothing(length);
    return;
  }
  tls_->receive(hub_->sealed.data(), static_cast<size_t>(length));
  if (state_ == State::HANDSHAKING && !handshake()) return;
  decrypt();
  if (state_ != State::CLOSED) drain_wire();
}

// Whether it is done; the rest of what was received is then to be decrypted.
bool Connection::handshake() {
  const TlsStream::Result result = tls_->handshake();
  if (result == TlsStream::Result::DONE) connected();
  else if (result != TlsStream::Result::MORE) lost_by_tls();
  if (state_ == State::CLOSED) return false;
  drain_wire();
  return is_up();
}

void Connection::decrypt() {
  uint8_t* room = hub_->batch.room();
  size_t total = 0, length = 0;
  TlsStream::Result result;
  while ((result = tls_->read(room + total, PLAIN_BYTES - total, &length)) == TlsStream::Result::DONE) total += length;
  if (total != 0) {
    hub_->batch.keep(total);
    feed(room, total);
  }
  if (state_ == State::CLOSED || result == TlsStream::Result::MORE) return;
  if (result == TlsStream::Result::ENDED) ended(true);
  else lost_by_tls();
}

void Connection::feed(uint8_t* data, size_t length) {
  while (state_ != State::CLOSED) {
    size_t used = 0;
    const ResponseParser::Event event = parser_.next(data, length, &used);
    data += used;
    length -= used;
    if (event == ResponseParser::Event::kMore) return;
    if (event == ResponseParser::Event::kHead) put_head();
    else if (event == ResponseParser::Event::kBody) put_body();
    else if (event == ResponseParser::Event::kError) lost(Cause::PROTOCOL, hub_->number_of(parser_.reason));
    else return finish(parser_.reusable && length == 0 && !has_unsent() && write_error_ == 0 && due_error_ == 0);
  }
}

void Connection::put_head() {
  EventBatch& batch = hub_->batch;
  if (parser_.text_length > HEAD_TEXT_BYTES_MAX) {
    lost(Cause::PROTOCOL, hub_->number_of("the head is too long"));
    return;
  }
  uint8_t* text = batch.room();
  if (parser_.text_length != 0) std::memcpy(text, parser_.text(), parser_.text_length);
  batch.keep(parser_.text_length);
  const int32_t base = batch.offset_of(text);
  const auto length = static_cast<uint64_t>(parser_.content_length);
  int32_t* out = batch.add(id_, Kind::HEAD);
  out[0] = parser_.status;
  out[1] = (parser_.chunked ? FLAG_CHUNKED : 0) | (parser_.close_delimited ? FLAG_CLOSE_DELIMITED : 0);
  out[2] = static_cast<int32_t>(length & 0xffffffffu);
  out[3] = static_cast<int32_t>(length >> 32);
  out[4] = base;
  out[5] = base + static_cast<int32_t>(parser_.lines_length);
  const ResponseParser::Range ranges[] = {parser_.content_type, parser_.content_encoding, parser_.request_id};
  out += 6;
  for (const ResponseParser::Range& range : ranges) {
    *out++ = range.start < 0 ? -1 : base + range.start;
    *out++ = range.start < 0 ? -1 : base + range.end;
  }
}

void Connection::put_body() {
  int32_t* out = hub_->batch.add(id_, Kind::BODY);
  out[0] = hub_->batch.offset_of(parser_.body);
  out[1] = out[0] + static_cast<int32_t>(parser_.body_length);
}

void Connection::finish(bool reusable) {
  int32_t* out = hub_->batch.add(id_, Kind::END);
  out[0] = reusable ? 1 : 0;
  out[1] = parser_.keep_alive_seconds;
  if (!reusable) {
    close();
    return;
  }
  state_ = State::IDLE;
  used_ = true;
  paused_ = false;
  hung_up_ = false;
  keep_loop(false);
}

// `whole`: that nothing was cut off behind what came. Over TLS, only the peer's close_notify says so.
void Connection::ended(bool whole) {
  const bool active = state_ == State::ACTIVE;
  if (active && whole && parser_.closed() == ResponseParser::Event::kEnd) finish(false);
  else lost(Cause::PEER, write_error_);
}

void Connection::lost(Cause cause, int32_t detail) {
  const bool up = is_up();
  const bool active = state_ == State::ACTIVE;
  int32_t* out = hub_->batch.add(id_, active ? Kind::FAIL : up ? Kind::CLOSED : Kind::CONNECT_FAILED);
  out[0] = static_cast<int32_t>(cause);
  out[1] = detail;
  out[2] = active ? parser_.answered : state_ == State::HANDSHAKING;
  close();
}

void Connection::lost_by_tls() { lost(tls_->cause, tls_->detail); }

// ---- writing

void Connection::write() {
  if (tls_ == nullptr) write_plain();
  else write_encrypted();
}

void Connection::write_plain() {
  while (!outgoing_.empty()) {
    msghdr message = {};
    iovec parts[2];
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<size_t>(outgoing_.parts(hub_->env, parts));
    if (message.msg_iovlen == 0) return fail_later(EFAULT);
    const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent < 0) return write_failed(errno);
    outgoing_.take(static_cast<size_t>(sent));
    if (static_cast<size_t>(sent) < iov_length(parts, message.msg_iovlen)) return;
  }
  if (outgoing_.done()) outgoing_.drop(hub_->env);
}

void Connection::write_encrypted() {
  // During the handshake only what is left of that; the request waits.
  if (!send_unsent() || !is_up()) return;
  while (!outgoing_.empty() && unsent_.length() == 0) {
    if (!encrypt()) return;
    drain_wire();
  }
  if (outgoing_.done()) outgoing_.drop(hub_->env);
}

bool Connection::encrypt() {
  iovec parts[2];
  const int count = outgoing_.parts(hub_->env, parts);
  if (count == 0) {
    fail_later(EFAULT);
    return false;
  }
  uint8_t record[RECORD_BYTES];
  const auto* from = static_cast<const uint8_t*>(parts[0].iov_base);
  size_t length = std::min(parts[0].iov_len, SLICE_BYTES);
  if (count == 2 && length < RECORD_BYTES) {
    const size_t of_body = std::min(parts[1].iov_len, RECORD_BYTES - length);
    std::memcpy(record, from, length);
    std::memcpy(record + length, parts[1].iov_base, of_body);
    from = record;
    length += of_body;
  }
  if (!tls_->write(from, length)) {
    // The wire is shared: nothing of this connection stays on it.
    drain_wire();
    fail_later(TLS_ERROR);
    return false;
  }
  outgoing_.take(length);
  return true;
}

// Sends what OpenSSL has put on the wire, behind what the socket did not take before.
void Connection::drain_wire() {
  TextBuffer& wire = hub_->wire;
  if (wire.length() == 0) return;
  size_t sent = 0;
  if (unsent_.length() == 0) {
    const ssize_t result = put_on_socket(wire.data(), wire.length());
    sent = result < 0 ? wire.length() : static_cast<size_t>(result);
  }
  if (sent < wire.length() && state_ != State::CLOSED) unsent_.append(wire.data() + sent, wire.length() - sent);
  wire.restart(WIRE_KEPT_BYTES);
}

// Whether nothing is left of what the socket did not take.
bool Connection::send_unsent() {
  if (unsent_.length() == 0) return true;
  const ssize_t sent = put_on_socket(unsent_.data() + unsent_at_, unsent_.length() - unsent_at_);
  if (sent < 0) return false;
  unsent_at_ += static_cast<size_t>(sent);
  if (unsent_at_ < unsent_.length()) return false;
  unsent_.release();
  unsent_at_ = 0;
  return true;
}

// How much the socket took; -1: it never will take anything again.
ssize_t Connection::put_on_socket(const char* data, size_t length) {
  if (write_error_ != 0) return -1;
  const ssize_t sent = ::send(fd_, data, length, MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  write_failed(errno);
  return write_error_ == 0 ? 0 : -1;
}

// The answer may have come before the error, so reading goes on; in the end it finds that the connection is closed.
void Connection::write_failed(int reason) {
  if (is_temporary(reason)) return;
  write_error_ = reason;
  outgoing_.drop(hub_->env);
  unsent_.release();
  unsent_at_ = 0;
}

// Nothing more is written, and the connection is lost in the next turn: this one may be a call from JavaScript.
void Connection::fail_later(int error) {
  due_error_ = error;
  outgoing_.drop(hub_->env);
  hub_->call_later(id_);
}

// ---- what epoll and the loop are asked for

void Connection::keep_loop(bool alive) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&poll_);
  if (alive) uv_ref(handle);
  else uv_unref(handle);
}

int Connection::wanted() const {
  if (state_ == State::CONNECTING) return UV_WRITABLE;
  const int writable = unsent_.length() != 0 || (is_up() && !outgoing_.empty()) ? UV_WRITABLE : 0;
  if (!paused_) return UV_READABLE | writable;
  // A peer that has hung up would make the loop spin.
  return hung_up_ ? 0 : UV_DISCONNECT | writable;
}

void Connection::update_interest() {
  const int interest = wanted();
  if (interest == interest_) return;
  interest_ = interest;
  if (interest == 0) uv_poll_stop(&poll_);
  else uv_poll_start(&poll_, interest, on_poll);
}

}  // namespace sluice::upstream
