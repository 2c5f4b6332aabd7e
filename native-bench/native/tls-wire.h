// A connection that the mock provider takes over TLS. OpenSSL is that of Node, whose headers come with the runtime.
#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <string>

#include "fault.h"
#include "wire.h"

namespace bench {

class TlsWire final : public Wire {
 public:
  explicit TlsWire(SSL_CTX* context) : context_(context) {}
  ~TlsWire() override { drop(); }

  void begin(int fd) override {
    drop();
    ssl_ = SSL_new(context_);
    if (ssl_ == nullptr || SSL_set_fd(ssl_, fd) != 1) drop();
    if (ssl_ != nullptr) SSL_set_accept_state(ssl_);
  }

  ssize_t receive(char* data, size_t size) override {
    size_t count = 0;
    return outcome([&] { return SSL_read_ex(ssl_, data, size, &count); }, count);
  }

  ssize_t transmit(const char* data, size_t size) override {
    size_t count = 0;
    return outcome([&] { return SSL_write_ex(ssl_, data, size, &count); }, count);
  }

  // A read brings one record at most.
  bool emptied(size_t, size_t) const override { return false; }

  void end() override {
    ERR_clear_error();
    if (ssl_ != nullptr && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
    drop();
  }

 private:
  template <class Operation>
  ssize_t outcome(Operation operation, const size_t& count) {
    errno = EPROTO;
    if (ssl_ == nullptr) return -1;
    ERR_clear_error();
    const int result = operation();
    if (result == 1) return static_cast<ssize_t>(count);
    switch (SSL_get_error(ssl_, result)) {
      case SSL_ERROR_ZERO_RETURN: return 0;
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
      default: errno = EPROTO; return -1;
    }
  }

  void drop() {
    SSL_free(ssl_);
    ssl_ = nullptr;
  }

  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
};

class TlsWires final : public WireMaker {
 public:
  TlsWires(const std::string& cert_file, const std::string& key_file) : context_(SSL_CTX_new(TLS_server_method())) {
    if (context_ == nullptr) fail("no TLS context can be made");
    // One system call per read, and not one for the head of a record and one for the rest.
    SSL_CTX_set_read_ahead(context_, 1);
    SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    const bool shown = SSL_CTX_use_certificate_chain_file(context_, cert_file.c_str()) == 1;
    const bool keyed = shown && SSL_CTX_use_PrivateKey_file(context_, key_file.c_str(), SSL_FILETYPE_PEM) == 1;
    if (keyed) return;
    SSL_CTX_free(context_);
    fail((shown ? key_file : cert_file) + " cannot be used");
  }
  ~TlsWires() override { SSL_CTX_free(context_); }
  TlsWires(const TlsWires&) = delete;
  TlsWires& operator=(const TlsWires&) = delete;

  std::unique_ptr<Wire> make() const override { return std::make_unique<TlsWire>(context_); }

 private:
  SSL_CTX* context_;
};

}  // namespace bench
