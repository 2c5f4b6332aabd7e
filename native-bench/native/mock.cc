// A model provider for load tests that costs next to nothing: OpenAI-shaped answers, whole or as a stream, with the latency,
// the pace and the faults that the command line asks for (mock-options.h). Listens on 127.0.0.1 only, prints
// {"port":N,"pid":N} once it does, and ends when its stdin is closed. One thread. With --tls-port the same provider can
// be had with TLS as well; that needs the OpenSSL of Node, and so only the mock that runs in it has it (mock-addon.cc).
//
// POST .../embeddings: an embedding; any other POST: a chat completion, as a stream when its body has "stream":true;
// GET .../models: a list; else 404. --error-share answers --error-status; --reset-share breaks the connection in the middle of
// an answer; --stall-share never finishes: a stream stops in its middle, another answer never begins.
#include "mock.h"

#include <cstdio>
#include <deque>
#include <optional>

#include "mock-connection.h"
#include "socket.h"

namespace bench {
namespace {

class Listener final : public Watched {
 public:
  Listener(MockServer& server, uint16_t port, const WireMaker& wires)
      : server_(server), wires_(wires), fd_(listen_loopback(port)) {
    // Edge-triggered, or a lack of descriptors would be a busy loop.
    if (!server.loop.watch(fd_, this, EPOLLIN | EPOLLET)) fail_errno("epoll_ctl");
  }
  ~Listener() { close(fd_); }

  uint16_t port() const { return port_of(fd_); }

  void ready(uint32_t) override {
    for (;;) {
      const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      connection().begin(fd);
    }
  }

 private:
  MockConnection& connection() {
    if (free_.empty()) return connections_.emplace_back(server_, free_, wires_.make());
    MockConnection* const reused = free_.back();
    free_.pop_back();
    return *reused;
  }

  MockServer& server_;
  const WireMaker& wires_;
  int fd_;
  std::vector<MockConnection*> free_;
  std::deque<MockConnection> connections_;
};

// Whoever started the program holds the other end of its stdin.
class Parent final : public Watched {
 public:
  bool gone = false;

  void ready(uint32_t) override {
    char bytes[256];
    gone = read(STDIN_FILENO, bytes, sizeof bytes) <= 0;
  }
};

void serve(const MockOptions& options, const WireMaker* encrypted) {
  raise_descriptor_limit();
  MockServer server(options);
  const PlainWires plain;
  Listener listener(server, options.port, plain);
  std::optional<Listener> tls_listener;
  if (encrypted != nullptr) tls_listener.emplace(server, options.tls_port, *encrypted);
  Parent parent;
  // A file or /dev/null cannot be watched: then only a signal ends the program.
  server.loop.watch(STDIN_FILENO, &parent, EPOLLIN);
  std::printf("{\"port\":%u,\"pid\":%d}\n", listener.port(), getpid());
  std::fflush(stdout);
  while (!parent.gone) {
    server.loop.turn(server.timers.next_ns());
    const uint64_t now = now_ns();
    while (Timer* timer = server.timers.take(now)) static_cast<MockConnection*>(timer)->due();
  }
}

}  // namespace

int run_mock(int argc, char** argv, MakeTls make_tls) {
  try {
    const MockOptions options = read_mock_options(argc, argv);
    if (options.tls_port == 0) {
      serve(options, nullptr);
    } else {
      if (make_tls == nullptr) fail("--tls-port: this mock has no TLS");
      serve(options, make_tls(options.cert_file, options.key_file).get());
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mock: %s\n", error.what());
    return 2;
  }
}

}  // namespace bench
