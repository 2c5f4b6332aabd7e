#include "tls-context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <utility>

#include "tls-stream.h"

namespace sluice::upstream {
namespace {

// Names of servers with sessions, per context, and sessions of each: 1 to 5 KB, most of which is the certificate.
constexpr size_t NAMES_MAX = 1024;
constexpr size_t SESSIONS_MAX = 4;

const unsigned char HTTP_1_1[] = "\x08http/1.1";

struct Text {
  explicit Text(const std::string& pem) : bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))) {}
  ~Text() { BIO_free(bio); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  BIO* bio;
};

// Nobody is asked: there is no terminal, and a key with a password is not supported.
int no_password(char*, int, int, void*) { return -1; }

X509* next_certificate(BIO* bio) { return PEM_read_bio_X509_AUX(bio, nullptr, no_password, nullptr); }

// PEM that ends where a certificate could begin is the end of it; anything else is a mistake in it.
bool at_end() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

bool trust(SSL_CTX* context, const std::string& pem) {
  const Text text(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  size_t count = 0;
  while (X509* certificate = next_certificate(text.bio)) {
    const bool added = X509_STORE_add_cert(store, certificate) == 1;
    X509_free(certificate);
    if (!added) return false;
    count += 1;
  }
  return at_end() && count != 0;
}

bool show_certificate(SSL_CTX* context, const std::string& pem) {
  const Text text(pem);
  X509* own = next_certificate(text.bio);
  if (own == nullptr) return false;
  bool good = SSL_CTX_use_certificate(context, own) == 1;
  X509_free(own);
  while (X509* issuer = good ? PEM_read_bio_X509(text.bio, nullptr, no_password, nullptr) : nullptr) {
    good = SSL_CTX_add0_chain_cert(context, issuer) == 1;
    if (!good) X509_free(issuer);
  }
  return good && at_end();
}

bool use_key(SSL_CTX* context, const std::string& pem) {
  const Text text(pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(text.bio, nullptr, no_password, nullptr);
  if (key == nullptr) return false;
  const bool good = SSL_CTX_use_PrivateKey(context, key) == 1;
  EVP_PKEY_free(key);
  return good;
}

// OpenSSL has one list for TLS 1.3 and one for TLS 1.2, node:tls has both in one. A version that has none is not spoken.
bool use_ciphers(SSL_CTX* context, const std::string& ciphers) {
  std::string suites, others;
  for (size_t at = 0; at < ciphers.size();) {
    const size_t end = std::min(ciphers.find(':', at), ciphers.size());
    std::string& list = ciphers.compare(at, 4, "TLS_") == 0 ? suites : others;
    if (!list.empty()) list += ':';
    list.append(ciphers, at, end - at);
    at = end + 1;
  }
  if (suites.empty()) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  else if (SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1) return false;
  if (others.empty()) return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1;
  return SSL_CTX_set_cipher_list(context, others.c_str()) == 1;
}

const char* load(SSL_CTX* context, const TlsContext::Settings& settings) {
  if (!use_ciphers(context, settings.ciphers)) return "the ciphers are not known";
  if (!trust(context, settings.authorities)) return "the certificate authorities cannot be read";
  if (settings.certificate.empty() && settings.key.empty()) return nullptr;
  if (!show_certificate(context, settings.certificate)) return "the client certificate cannot be read";
  if (!use_key(context, settings.key)) return "the client's private key cannot be read, or is not that of its certificate";
  return SSL_CTX_check_private_key(context) == 1 ? nullptr : "the private key is not that of the client certificate";
}

void set_options(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(context, HTTP_1_1, sizeof(HTTP_1_1) - 1);
  // An idle connection has no buffers: 34 KB.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
}

}  // namespace

std::shared_ptr<TlsContext> TlsContext::make(const Settings& settings, const char** problem) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) {
    *problem = "no TLS context";
    return nullptr;
  }
  std::shared_ptr<TlsContext> made(new TlsContext(context));
  set_options(context);
  SSL_CTX_sess_set_new_cb(context, on_session);
  *problem = load(context, settings);
  ERR_clear_error();
  return *problem == nullptr ? made : nullptr;
}

// A ticket of TLS 1.3 is used once where there are more (RFC 8446 C.4); the last one goes on, because many connections may begin
// at once.
SSL_SESSION* TlsContext::take_session(const std::string& server_name) {
  const auto found = sessions_.find(server_name);
  if (found == sessions_.end()) return nullptr;
  Sessions& sessions = found->second;
  const std::string& newest = sessions.back();
  auto at = reinterpret_cast<const unsigned char*>(newest.data());
  SSL_SESSION* session = d2i_SSL_SESSION(nullptr, &at, static_cast<long>(newest.size()));
  if (sessions.size() > 1) sessions.pop_back();
  return session;
}

void TlsContext::forget_sessions(const std::string& server_name) { sessions_.erase(server_name); }

// Called by OpenSSL when a session can be resumed: at the end of a handshake, or when a ticket comes. 0: it stays OpenSSL's.
int TlsContext::on_session(SSL* ssl, SSL_SESSION* session) {
  auto* stream = static_cast<TlsStream*>(SSL_get_app_data(ssl));
  std::string bytes(static_cast<size_t>(std::max(0, i2d_SSL_SESSION(session, nullptr))), '\0');
  auto* at = reinterpret_cast<unsigned char*>(bytes.data());
  if (bytes.size() != 0 && i2d_SSL_SESSION(session, &at) > 0) stream->context_->keep_session(stream->server_name_, std::move(bytes));
  return 0;
}

void TlsContext::keep_session(const std::string& server_name, std::string&& session) {
  if (sessions_.size() >= NAMES_MAX && sessions_.count(server_name) == 0) sessions_.erase(sessions_.begin());
  Sessions& sessions = sessions_[server_name];
  sessions.push_back(std::move(session));
  if (sessions.size() > SESSIONS_MAX) sessions.erase(sessions.begin());
}

}  // namespace sluice::upstream
