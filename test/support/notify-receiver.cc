// A datagram socket, as systemd's $NOTIFY_SOCKET: prints every datagram as one line of standard output, its lines separated
// by a bar. Argument: a path, or an abstract name behind an @. Ends when its standard input does. For tests.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (argc != 2 || std::strlen(argv[1]) >= sizeof(address.sun_path)) return 2;
  const size_t length = std::strlen(argv[1]);
  std::memcpy(address.sun_path, argv[1], length);
  if (argv[1][0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) return 1;
  std::puts("bound");
  std::fflush(stdout);
  for (;;) {
    pollfd both[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (poll(both, 2, -1) < 0 || both[1].revents != 0) return 0;
    char text[4096];
    const ssize_t got = recv(fd, text, sizeof(text), 0);
    if (got < 0) return 1;
    for (ssize_t i = 0; i < got; i += 1)
      if (text[i] == '\n') text[i] = '|';
    std::printf("%.*s\n", static_cast<int>(got), text);
    std::fflush(stdout);
  }
}
