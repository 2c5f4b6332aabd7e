// A model provider for load tests that costs next to nothing: OpenAI-shaped answers, whole or as a stream, with the latency,
// the pace and the faults that the command line asks for (mock-options.h). Listens on 127.0.0.1 only, prints
// {"port":N,"pid":N} once it does, and ends when its stdin is closed. One thread.
//
// POST .../embeddings: an embedding; any other POST: a chat completion, as a stream when its body has "stream":true;
// GET .../models: a list; else 404. --error-share answers --error-status; --reset-share breaks the connection in the middle of
// an answer; --stall-share never finishes: a stream stops in its middle, another answer never begins.
#include <deque>

#include <cstdio>

#include "mock-connection.h"
#include "socket.h"

namespace bench {
namespace {

class Listener final : public Watched {
 public:
  explicit Listener(MockServer& server) : server_(server), fd_(listen_loopback(server.options.port)) {
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
    if (server_.free.empty()) return connections_.emplace_back(server_);
    MockConnection* const reused = server_.free.back();
    server_.free.pop_back();
    return *reused;
  }

  MockServer& server_;
  int fd_;
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

int run(const MockOptions& options) {
  raise_descriptor_limit();
  MockServer server(options);
  Listener listener(server);
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
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    return bench::run(bench::read_mock_options(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mock: %s\n", error.what());
    return 2;
  }
}
