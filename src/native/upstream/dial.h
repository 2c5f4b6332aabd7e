// A socket that begins to connect. Gateway worker, main thread.
#pragma once
#include <cstdint>

namespace sluice::upstream {

// `address`: a literal IPv4 or IPv6 address. The descriptor; or the negative error number, when there is none or nothing will come of it.
int dial(const char* address, uint16_t port);

}  // namespace sluice::upstream
