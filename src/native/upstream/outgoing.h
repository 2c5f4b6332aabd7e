// What is left to write of one request: of its head, and of its body. Gateway worker, main thread.
//
// A body may grow: its length and its place are known from the beginning, but only its first bytes are there; the rest is held back until
// release() says how far it has come.
//
// While upstreamSend runs, both are where JavaScript has them. What the socket did not take then is kept: the head as a copy, the body by
// a reference, whose address is asked for again before each write, because JavaScript may have taken the memory away.
#pragma once
#include <sys/uio.h>

#include <string>

#include "../addon.h"

namespace sluice::upstream {

class Outgoing {
 public:
  // Nothing may be written now.
  bool empty() const { return head_.length + body_.length == held_; }
  // Nothing is left of the request.
  bool done() const { return head_.length + body_.length == 0; }

  // `ready`: how many of the first bytes of the body may be written.
  void begin(const Bytes& head, const Bytes& body, size_t ready) {
    head_ = head;
    body_ = body;
    length_ = body.length;
    held_ = ready < length_ ? length_ - ready : 0;
  }

  // As `ready` of begin(): more than before.
  void release(size_t ready) {
    const size_t held = ready < length_ ? length_ - ready : 0;
    if (held < held_) held_ = held;
  }

  // At the end of upstreamSend. `body`: the value that the bytes given to begin() are of.
  void keep(napi_env env, napi_value body);

  // The next bytes that may be written: how many parts there are, if it is not empty. 0: the body is gone.
  int parts(napi_env env, iovec out[2]);

  // `count` bytes of them were written.
  void take(size_t count);

  void drop(napi_env env);

 private:
  bool find_body(napi_env env);

  Bytes head_;
  Bytes body_;
  // Of the whole body, and of its end that must not be written yet.
  size_t length_ = 0;
  size_t held_ = 0;
  std::string kept_;
  napi_ref reference_ = nullptr;
};

}  // namespace sluice::upstream
