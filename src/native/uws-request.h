// The request of uWebSockets.js as it lies in memory while its handler runs. There is no call that gives all headers at once, and
// one into JavaScript per header costs more than all that is done with it.
//
// Layout of uWS::HttpRequest, begun by an array of pairs of std::string_view: the method and the target, then a pair per header,
// then one whose name has no data. It is that of the binaries that package-lock.json names, and holds for no other: they are
// told by their build id, and a process that has loaded another one must not read requests here (isKnownUws).
#pragma once
#include <cstddef>
#include <string_view>

namespace sluice {

struct UwsHeader {
  std::string_view name;
  std::string_view value;
};

// Of the package uws-pack 20.0.8, Node 22: linux_x64_127 and linux_arm64_127.
inline constexpr std::string_view UWS_BUILD_IDS[] = {"1a5f8d9e8e1256a5b106000466790ac894422488",
                                                     "224968a49705589228f277886a3cfde817b81a2c"};

}  // namespace sluice
