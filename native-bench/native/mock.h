// The mock provider, see mock.cc, as its two programs start it.
#pragma once
#include <memory>
#include <string>

#include "wire.h"

namespace bench {

// Throws a Fault when the certificate or its key cannot be used.
using MakeTls = std::unique_ptr<WireMaker> (*)(const std::string& cert_file, const std::string& key_file);

// Returns the exit code. `make_tls`: null where there is no TLS.
int run_mock(int argc, char** argv, MakeTls make_tls);

}  // namespace bench
