// The mock provider as an addon of Node, for the OpenSSL that Node brings along: a machine that can run Sluice can run it.
// JavaScript calls run(options) once, which comes back with the exit code when the provider has ended.
#include <node_api.h>

#include <string>
#include <vector>

#include "mock.h"
#include "tls-wire.h"

namespace {

std::unique_ptr<bench::WireMaker> make_tls(const std::string& cert_file, const std::string& key_file) {
  return std::make_unique<bench::TlsWires>(cert_file, key_file);
}

std::string text_of(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

napi_value run(napi_env env, napi_callback_info info) {
  size_t given = 1;
  napi_value list = nullptr;
  uint32_t count = 0;
  napi_get_cb_info(env, info, &given, &list, nullptr, nullptr);
  napi_get_array_length(env, list, &count);
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < count; i++) {
    napi_value item = nullptr;
    napi_get_element(env, list, i, &item);
    texts.push_back(text_of(env, item));
  }
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  napi_value code = nullptr;
  napi_create_int32(env, bench::run_mock(static_cast<int>(count), arguments.data(), make_tls), &code);
  return code;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  napi_create_function(env, "run", NAPI_AUTO_LENGTH, run, nullptr, &function);
  napi_set_named_property(env, exports, "run", function);
  return exports;
}
