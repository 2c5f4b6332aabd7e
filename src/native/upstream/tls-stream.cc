#include "tls-stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace sluice::upstream {

// OpenSSL's side: reads what receive() was given, writes to the wire. It never waits, and the wire takes everything.
class MemoryBio {
 public:
  static BIO* open(TlsStream* stream) {
    BIO* bio = BIO_new(method());
    if (bio == nullptr) return nullptr;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    return bio;
  }

 private:
  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = make();
    return made;
  }

  static BIO_METHOD* make() {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice");
    BIO_meth_set_read_ex(made, read);
    BIO_meth_set_write_ex(made, write);
    BIO_meth_set_ctrl(made, control);
    return made;
  }

  static int read(BIO* bio, char* to, size_t room, size_t* length) {
    auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    *length = std::min(room, stream->incoming_length_);
    if (*length == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(to, stream->incoming_, *length);
    stream->incoming_ += *length;
    stream->incoming_length_ -= *length;
    return 1;
  }

  static int write(BIO* bio, const char* from, size_t length, size_t* written) {
    static_cast<TlsStream*>(BIO_get_data(bio))->wire_->append(from, length);
    *written = length;
    return 1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
};

TlsStream::TlsStream(std::shared_ptr<TlsContext> context, const char* server_name, TextBuffer* wire)
    : context_(std::move(context)), server_name_(server_name), wire_(wire), ssl_(SSL_new(context_->get())) {
  if (ssl_ == nullptr) return;
  SSL_set_app_data(ssl_, this);
  SSL_set_connect_state(ssl_);
  BIO* bio = MemoryBio::open(this);
  SSL_set_bio(ssl_, bio, bio);
  if (bio == nullptr || !expect_name(server_name)) {
    SSL_free(ssl_);
    ssl_ = nullptr;
    return;
  }
  SSL_SESSION* session = context_->take_session(server_name_);
  if (session == nullptr) return;
  SSL_set_session(ssl_, session);
  SSL_SESSION_free(session);
}

TlsStream::~TlsStream() {
  if (ssl_ == nullptr) return;
  // Without this OpenSSL takes the session for one that ended badly, and does not resume it (TLS 1.2).
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
}

// The name of the server is sent only if it is a DNS name (RFC 6066 3).
bool TlsStream::expect_name(const char* server_name) {
  unsigned char address[sizeof(in6_addr)];
  if (inet_pton(AF_INET, server_name, address) == 1 || inet_pton(AF_INET6, server_name, address) == 1) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), server_name) == 1;
  }
  SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return server_name[0] != '\0' && SSL_set1_host(ssl_, server_name) == 1 &&
         SSL_set_tlsext_host_name(ssl_, server_name) == 1;
}

TlsStream::Result TlsStream::handshake() {
  if (ssl_ == nullptr) return Result::FAILED;
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_);
  if (returned == 1) return Result::DONE;
  const Result result = result_of(returned);
  if (result != Result::MORE) context_->forget_sessions(server_name_);
  return result;
}

TlsStream::Result TlsStream::read(uint8_t* to, size_t room, size_t* length) {
  ERR_clear_error();
  const int returned = SSL_read_ex(ssl_, to, room, length);
  return returned == 1 ? Result::DONE : result_of(returned);
}

bool TlsStream::write(const uint8_t* data, size_t length) {
  ERR_clear_error();
  size_t written = 0;
  const int returned = SSL_write_ex(ssl_, data, length, &written);
  if (returned == 1 && written == length) return true;
  result_of(returned);
  return false;
}

void TlsStream::end() {
  if (ssl_ == nullptr || !greeted()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

TlsStream::Result TlsStream::result_of(int returned) {
  const int error = SSL_get_error(ssl_, returned);
  if (error == SSL_ERROR_WANT_READ) return Result::MORE;
  if (error == SSL_ERROR_ZERO_RETURN) return Result::ENDED;
  const long verdict = SSL_get_verify_result(ssl_);
  cause = verdict == X509_V_OK ? Cause::TLS : Cause::CERTIFICATE;
  detail = static_cast<int32_t>(verdict == X509_V_OK ? static_cast<long>(ERR_peek_error()) : verdict);
  ERR_clear_error();
  return Result::FAILED;
}

}  // namespace sluice::upstream
