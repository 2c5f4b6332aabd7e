// How the bytes of a connection to the mock provider pass: as they are, or encrypted.
#pragma once
#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>

namespace bench {

// As recv() and send(), errno included.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual void begin(int fd) = 0;
  virtual ssize_t receive(char* data, size_t size) = 0;
  virtual ssize_t transmit(const char* data, size_t size) = 0;
  // Whether a read of `count` bytes for which there was room for `size` has left nothing.
  virtual bool emptied(size_t count, size_t size) const = 0;
  // The descriptor is closed after it.
  virtual void end() = 0;
};

class PlainWire final : public Wire {
 public:
  void begin(int fd) override { fd_ = fd; }
  ssize_t receive(char* data, size_t size) override { return recv(fd_, data, size, 0); }
  ssize_t transmit(const char* data, size_t size) override { return send(fd_, data, size, MSG_NOSIGNAL); }
  bool emptied(size_t count, size_t size) const override { return count < size; }
  void end() override { fd_ = -1; }

 private:
  int fd_ = -1;
};

class WireMaker {
 public:
  virtual ~WireMaker() = default;
  virtual std::unique_ptr<Wire> make() const = 0;
};

class PlainWires final : public WireMaker {
 public:
  std::unique_ptr<Wire> make() const override { return std::make_unique<PlainWire>(); }
};

}  // namespace bench
