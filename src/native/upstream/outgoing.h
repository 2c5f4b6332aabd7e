// What is left to write of one request: of its head, and of its body. Gateway worker, main thread.
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
  bool empty() const { return head_.length + body_.length == 0; }

  void begin(const Bytes& head, const Bytes& body) {
    head_ = head;
    body_ = body;
  }

  // At the end of upstreamSend. `body`: the value that the bytes given to begin() are of.
  void keep(napi_env env, napi_value body);

  // The next bytes: how many parts there are. 0: the body is gone.
  int parts(napi_env env, iovec out[2]);

  // `count` bytes of them were written.
  void take(size_t count);

  void drop(napi_env env);

 private:
  bool find_body(napi_env env);

  Bytes head_;
  Bytes body_;
  std::string kept_;
  napi_ref reference_ = nullptr;
};

}  // namespace sluice::upstream
