// From a request or response of uWebSockets.js in JavaScript to the one in memory.
#pragma once
#include <node_api.h>
#include <v8.h>

#include <cstring>

namespace sluice {

// A napi_value is a handle of V8's, and the package keeps its pointer in the object's only field. Null: it is over, or none.
inline void* uws_object(napi_value argument) {
  v8::Local<v8::Value> value;
  static_assert(sizeof value == sizeof argument);
  std::memcpy(static_cast<void*>(&value), &argument, sizeof value);
  if (value.IsEmpty() || !value->IsObject() || value.As<v8::Object>()->InternalFieldCount() != 1) return nullptr;
  return value.As<v8::Object>()->GetAlignedPointerFromInternalField(0);
}

}  // namespace sluice
