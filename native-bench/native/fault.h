// What ends a program before it ran: thrown where it is found, printed by main, exit code 2.
#pragma once
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace bench {

struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const std::string& what) { throw Fault(what); }

// With the reason of the system call that failed just now.
[[noreturn]] inline void fail_errno(const std::string& what) { throw Fault(what + ": " + std::strerror(errno)); }

}  // namespace bench
