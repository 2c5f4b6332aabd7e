// One connection to a provider: its socket, what is written, and the response that is read. Gateway worker, main thread.
//
//   CONNECTING -> HANDSHAKING (TLS) -> IDLE <-> ACTIVE -> CLOSED
//
// A request costs one write and one read: writes are tried at once, a read that fills its room only in part is the last of its turn, and
// the interest in being readable stays with epoll as long as the connection does. A request that comes before IDLE waits for it.
// Failures that a call from JavaScript meets make no record: the socket tells of them in the next turn.
#pragma once
#include <sys/types.h>
#include <uv.h>

#include <cstdint>
#include <memory>

#include "../addon.h"
#include "event-batch.h"
#include "outgoing.h"
#include "response-parser.h"
#include "text-buffer.h"
#include "tls-stream.h"

namespace sluice::upstream {

class Hub;

class Connection {
 public:
  // `tls`: null for a plain connection. The number of the connection; -1: there are too many.
  static int32_t open(Hub* hub, const char* address, uint16_t port, std::unique_ptr<TlsStream> tls);

  bool takes_request() const { return state_ != State::ACTIVE && !waiting_; }
  // False: bytes, or the end, have come that nobody asked for; nothing was sent, and the connection is to be closed.
  // `ready`: how many of the first bytes of the body may be written.
  bool send(const Bytes& head, const Bytes& body, napi_value body_value, size_t ready, bool head_request);
  // More of the body may be written; nothing happens if no request is on it.
  void release(size_t ready);
  void pause(bool paused);
  // From any state, also from within a call into JavaScript.
  void close();
  // What could not be told when it happened.
  void come_due();

 private:
  enum class State : uint8_t { CONNECTING, HANDSHAKING, IDLE, ACTIVE, CLOSED };
  // Of the TlsStream.
  static constexpr int TLS_ERROR = -1;

  Connection(Hub* hub, int fd, std::unique_ptr<TlsStream> tls);
  static void on_poll(uv_poll_t* handle, int status, int events);
  static void on_closed(uv_handle_t* handle);

  bool is_quiet() const;
  bool is_up() const { return state_ == State::IDLE || state_ == State::ACTIVE; }
  void become_ready(int events);
  void finish_connect();
  void connected();
  void begin_request();

  bool may_wait() const;
  void note_read(ssize_t length);
  void read();
  void read_plain();
  void read_encrypted();
  void read_nothing(ssize_t length);
  bool handshake();
  void decrypt();
  void feed(uint8_t* data, size_t length);
  void put_head();
  void put_body();
  void finish(bool reusable);
  void ended(bool whole);
  void lost(Cause cause, int32_t detail);
  void lost_by_tls();

  void write();
  void write_plain();
  void write_encrypted();
  bool encrypt();
  void drain_wire();
  bool send_unsent();
  ssize_t put_on_socket(const char* data, size_t length);
  void write_failed(int reason);
  void fail_later(int error);
  bool has_unsent() const { return unsent_.length() != 0 || !outgoing_.done(); }

  void keep_loop(bool alive);
  void update_interest();
  int wanted() const;

  uv_poll_t poll_;
  Hub* hub_;
  int fd_;
  int32_t id_ = -1;
  int interest_ = 0;
  // The error of the first write that failed: the socket then only says that it is closed.
  int write_error_ = 0;
  // What comes due: an error number, or TLS_ERROR.
  int due_error_ = 0;
  // When all that had come was read, in the loop's time; 0: there was more.
  uint64_t emptied_ms_ = 0;
  State state_ = State::CONNECTING;
  bool waiting_ = false;
  // A response has ended on it.
  bool used_ = false;
  bool paused_ = false;
  // The peer ended it while it was paused.
  bool hung_up_ = false;
  std::unique_ptr<TlsStream> tls_;
  ResponseParser parser_;
  Outgoing outgoing_;
  // Encrypted bytes that the socket did not take, from unsent_at_ on.
  TextBuffer unsent_;
  size_t unsent_at_ = 0;
};

}  // namespace sluice::upstream
