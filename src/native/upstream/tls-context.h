// What TLS connections have in common that trust the same authorities and show the same certificate: OpenSSL's context, and the sessions
// to resume. Gateway worker, main thread.
//
// A session belongs to a name of a server, because its certificate was checked for that name and is not checked again.
#pragma once
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::upstream {

class TlsContext {
 public:
  // What is PEM, and `ciphers` as node:tls has them: those of TLS 1.3 begin with "TLS_".
  struct Settings {
    std::string authorities;
    std::string certificate;
    std::string key;
    std::string ciphers;
  };

  // Null: *problem says why.
  static std::shared_ptr<TlsContext> make(const Settings& settings, const char** problem);
  ~TlsContext() { SSL_CTX_free(context_); }
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  SSL_CTX* get() const { return context_; }

  // A session to offer to this server, which then is the caller's; nullptr: none.
  SSL_SESSION* take_session(const std::string& server_name);
  // None of those that were kept is good.
  void forget_sessions(const std::string& server_name);

 private:
  // Newest last. Serialized, because OpenSSL marks a session of TLS 1.3 as used up when it was resumed, and by a copy of that mark
  // every ticket that comes on the resumed connection.
  using Sessions = std::vector<std::string>;

  explicit TlsContext(SSL_CTX* context) : context_(context) {}
  static int on_session(SSL* ssl, SSL_SESSION* session);
  void keep_session(const std::string& server_name, std::string&& session);

  SSL_CTX* context_;
  std::unordered_map<std::string, Sessions> sessions_;
};

}  // namespace sluice::upstream
