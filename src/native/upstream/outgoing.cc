#include "outgoing.h"

#include <algorithm>

namespace sluice::upstream {

void Outgoing::keep(napi_env env, napi_value body) {
  kept_.assign(reinterpret_cast<const char*>(head_.data), head_.length);
  head_.data = reinterpret_cast<uint8_t*>(kept_.data());
  if (body_.length == 0 || napi_create_reference(env, body, 1, &reference_) == napi_ok) return;
  reference_ = nullptr;
  body_.data = nullptr;
}

int Outgoing::parts(napi_env env, iovec out[2]) {
  if (reference_ != nullptr && !find_body(env)) return 0;
  int count = 0;
  if (head_.length != 0) out[count++] = {head_.data, head_.length};
  if (body_.length != held_ && body_.data != nullptr) out[count++] = {body_.data, body_.length - held_};
  return count;
}

bool Outgoing::find_body(napi_env env) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value value = nullptr;
  size_t length = 0;
  void* data = nullptr;
  const bool found = napi_get_reference_value(env, reference_, &value) == napi_ok && value != nullptr &&
                     napi_get_typedarray_info(env, value, nullptr, &length, &data, nullptr, nullptr) == napi_ok;
  napi_close_handle_scope(env, scope);
  if (!found || length < body_.length) return false;
  // What is left is its end.
  body_.data = static_cast<uint8_t*>(data) + (length - body_.length);
  return true;
}

void Outgoing::take(size_t count) {
  const size_t of_head = std::min(count, head_.length);
  head_.data += of_head;
  head_.length -= of_head;
  body_.data += count - of_head;
  body_.length -= count - of_head;
}

void Outgoing::drop(napi_env env) {
  head_ = {};
  body_ = {};
  length_ = held_ = 0;
  if (reference_ != nullptr) napi_delete_reference(env, reference_);
  reference_ = nullptr;
}

}  // namespace sluice::upstream
