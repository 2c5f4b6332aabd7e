// Requests and responses of uWebSockets.js as they lie in memory. It is the layout of the binaries that package-lock.json names, and
// holds for no other: they are told by their build id, and a process that has loaded another one must not use this (isKnownUws).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

// Of the package uws-pack 20.0.8, Node 22: linux_x64_127 and linux_arm64_127.
inline constexpr std::string_view UWS_BUILD_IDS[] = {"1a5f8d9e8e1256a5b106000466790ac894422488",
                                                     "224968a49705589228f277886a3cfde817b81a2c"};

// uWS::HttpRequest, while its handler runs, begins with an array of such pairs: the method and the target, then a pair per header,
// then one whose name has no data. There is no call that gives all headers at once, and one into JavaScript per header costs more
// than all that is done with it.
struct UwsHeader {
  std::string_view name;
  std::string_view value;
};

// uWS::HttpResponse<false>: offsets of how many bytes of the body were taken (64 bits), and of the bits of what was done with it (32
// bits). Read off the code of getWriteOffset and tryEnd in both binaries; uws-response.cc looks at both before it writes.
inline constexpr size_t UWS_OFFSET_AT = 224;
inline constexpr size_t UWS_STATE_AT = 236;
// The same in which it is that of a connection, std::string::size() for the first two: bytes that the kernel has not taken yet, bytes of a head
// that is not whole, and what is still to come of a body.
inline constexpr size_t UWS_UNSENT_BYTES_AT = 56;
inline constexpr size_t UWS_HEAD_BYTES_AT = 96;
inline constexpr size_t UWS_BODY_BYTES_AT = 120;
inline constexpr uint32_t UWS_STATUS_CALLED = 1;
inline constexpr uint32_t UWS_END_CALLED = 4;
inline constexpr uint32_t UWS_RESPONSE_PENDING = 8;
inline constexpr uint32_t UWS_CONNECTION_CLOSE = 16;

// us_socket_context_t: where us_socket_context_on_data() puts its function, in both binaries.
inline constexpr size_t UWS_ON_DATA_AT = 72;

}  // namespace sluice
