// One TLS connection without its socket: encrypted bytes in, bytes out, and the other way round. Gateway worker, main thread.
//
// OpenSSL reads what receive() was given and writes to the wire, so that a read of the socket serves all records in it, and all records
// of a request leave in one write.
#pragma once
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "event-batch.h"
#include "text-buffer.h"
#include "tls-context.h"

namespace sluice::upstream {

class TlsStream {
 public:
  // MORE: it needs more from the peer. ENDED: the peer said that nothing more comes. FAILED: cause, detail.
  enum class Result : uint8_t { DONE, MORE, ENDED, FAILED };

  // `server_name`: what the certificate must be for, a DNS name or an address. `wire`: what is to be sent is put behind its end.
  TlsStream(std::shared_ptr<TlsContext> context, const char* server_name, TextBuffer* wire);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  Result handshake();
  // For the calls until the next receive(); they must take all of it.
  void receive(const uint8_t* data, size_t length) {
    incoming_ = data;
    incoming_length_ = length;
  }
  // DONE: *length bytes, at least one.
  Result read(uint8_t* to, size_t room, size_t* length);
  bool write(const uint8_t* data, size_t length);
  // Tells the peer, as far as the wire goes.
  void end();

  bool resumed() const { return SSL_session_reused(ssl_) == 1; }
  bool greeted() const { return SSL_is_init_finished(ssl_) == 1; }

  // Of the last FAILED.
  Cause cause = Cause::TLS;
  int32_t detail = 0;

 private:
  friend class MemoryBio;
  friend class TlsContext;

  bool expect_name(const char* server_name);
  Result result_of(int returned);

  std::shared_ptr<TlsContext> context_;
  std::string server_name_;
  TextBuffer* wire_;
  SSL* ssl_ = nullptr;
  const uint8_t* incoming_ = nullptr;
  size_t incoming_length_ = 0;
};

}  // namespace sluice::upstream
