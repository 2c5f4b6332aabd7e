// Refuses requests before uWebSockets.js reads them: while a worker sheds, what a connection says is looked at here first. One request in
// its usual form, all of it, on a connection that waits for one, is answered with one write; anything else goes on to where it would have
// gone. Gateway worker, main thread.
//
// A request costs the package more to read, and V8 to hear of, than the kernel to receive and the answer together. What is called here of
// uSockets is its C interface, which the package exports; its data handler is set for the rest of one turn of the loop, and set back.
#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "plain-head.h"
#include "request-head.h"
#include "uws-object.h"

namespace sluice {
namespace {

struct Socket;
struct Context;
using OnData = Socket* (*)(Socket*, char*, int);

// Of libusockets.h; the first argument of each says that there is no TLS.
struct Library {
  Context* (*context)(int, Socket*) = nullptr;
  void (*on_data)(int, Context*, OnData) = nullptr;
  int (*write)(int, Socket*, const char*, int, int) = nullptr;
  void (*timeout)(int, Socket*, unsigned) = nullptr;
  int (*is_shut_down)(int, Socket*) = nullptr;
  Socket* (*close)(int, Socket*, int, void*) = nullptr;
};

// What a context's data went to before.
struct Hook {
  Context* context;
  OnData before;
};

struct Shedder {
  Library library;
  std::vector<Hook> hooks;
  PlainHead plain;
  RequestHead head;
  size_t body_bytes_max = 0;
  size_t head_bytes_max = 0;
  // Of the answer, around the request's id.
  std::string before_id;
  std::string after_id;
  // Of requests that have none, in front of their number.
  std::string own_id;
  std::string answer;
  uint32_t refused = 0;
};

Shedder& shedder() {
  thread_local Shedder instance;
  return instance;
}

// As the package closes a connection on which nothing is asked any more.
constexpr unsigned IDLE_TIMEOUT_S = 10;
constexpr uint32_t UNUSUAL = RequestHead::UNSOUND | RequestHead::INVALID | RequestHead::CHUNKED | RequestHead::CLOSES | RequestHead::HAS_NAMED;

template <typename T>
T word_at(const Socket* socket, size_t offset) {
  T word;
  std::memcpy(&word, reinterpret_cast<const uint8_t*>(socket) + offset, sizeof word);
  return word;
}

// Nothing is asked on the connection, nothing of a request has come, and all answers are with the kernel.
bool waits(const Socket* socket) {
  return (word_at<uint32_t>(socket, UWS_STATE_AT) & (UWS_RESPONSE_PENDING | UWS_CONNECTION_CLOSE)) == 0 &&
         word_at<uint64_t>(socket, UWS_UNSENT_BYTES_AT) == 0 && word_at<uint64_t>(socket, UWS_HEAD_BYTES_AT) == 0 &&
         word_at<uint64_t>(socket, UWS_BODY_BYTES_AT) == 0;
}

// Whether the data is one request, with all of its body, that can be refused by what its head says.
bool is_one(Shedder& own, const char* data, size_t length) {
  const size_t head_bytes = own.plain.split(data, length);
  if (head_bytes == 0 || head_bytes > own.head_bytes_max) return false;
  own.head.read(own.plain.line(), own.plain.headers());
  const uint64_t body_bytes = own.head.content_length();
  return (own.head.flags() & UNUSUAL) == 0 && body_bytes <= own.body_bytes_max && head_bytes + body_bytes == length;
}

// The length of the answer.
size_t make_answer(Shedder& own) {
  own.refused++;
  own.answer.assign(own.before_id);
  if ((own.head.flags() & RequestHead::HAS_REQUEST_ID) != 0) {
    own.answer.append(own.head.text(RequestHead::REQUEST_ID));
  } else {
    own.answer.append(own.own_id).append(std::to_string(own.refused));
  }
  return own.answer.append(own.after_id).size();
}

Socket* refuse(Shedder& own, Socket* socket) {
  const int length = static_cast<int>(make_answer(own));
  const int written = own.library.write(0, socket, own.answer.data(), length, 0);
  // A connection that takes no answer although it has all that came before.
  if (written != length) return own.library.close(0, socket, 0, nullptr);
  own.library.timeout(0, socket, IDLE_TIMEOUT_S);
  return socket;
}

Socket* look(Socket* socket, char* data, int length) {
  Shedder& own = shedder();
  const Context* context = own.library.context(0, socket);
  for (const Hook& hook : own.hooks) {
    if (hook.context != context) continue;
    const bool is_plain = waits(socket) && own.library.is_shut_down(0, socket) == 0;
    return is_plain && is_one(own, data, static_cast<size_t>(length)) ? refuse(own, socket) : hook.before(socket, data, length);
  }
  return socket;
}

int find_uws_path(dl_phdr_info* module, size_t, void* path) {
  if (std::strstr(module->dlpi_name, "/uws_") == nullptr) return 0;
  *static_cast<std::string*>(path) = module->dlpi_name;
  return 1;
}

template <typename F>
bool find(void* module, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(module, name));
  return *function != nullptr;
}

// Once. False: it is not there.
bool open_library(Library* own) {
  if (own->close != nullptr) return true;
  std::string path;
  dl_iterate_phdr(find_uws_path, &path);
  void* module = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  return module != nullptr && find(module, "us_socket_context", &own->context) && find(module, "us_socket_context_on_data", &own->on_data) &&
         find(module, "us_socket_write", &own->write) && find(module, "us_socket_timeout", &own->timeout) &&
         find(module, "us_socket_is_shut_down", &own->is_shut_down) && find(module, "us_socket_close", &own->close);
}

void hook(Shedder& own, Socket* socket) {
  Context* context = own.library.context(0, socket);
  OnData before;
  std::memcpy(&before, reinterpret_cast<const uint8_t*>(context) + UWS_ON_DATA_AT, sizeof before);
  if (before == look) return;
  own.hooks.push_back({context, before});
  own.library.on_data(0, context, look);
}

// shedForm(headBytesMax, bodyBytesMax, requestIdBytesMax)
napi_value shed_form(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  uint32_t bounds[3] = {0, 0, 0};
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  for (int i = 0; i < 3; i++) {
    if (!ok(env, napi_get_value_uint32(env, argv[i], &bounds[i]))) return nullptr;
  }
  Shedder& own = shedder();
  own.head_bytes_max = bounds[0];
  own.body_bytes_max = bounds[1];
  own.head.request_id_bytes_max = bounds[2];
  return nullptr;
}

// shedAlso(response, beforeId, afterId, ownId)
napi_value shed_also(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4];
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Shedder& own = shedder();
  Socket* socket = static_cast<Socket*>(uws_object(argv[0]));
  if (socket == nullptr || (word_at<uint32_t>(socket, UWS_STATE_AT) & UWS_RESPONSE_PENDING) == 0 || !open_library(&own.library)) {
    napi_throw_type_error(env, "SLUICE_NATIVE", "shedAlso: not a response that waits for its beginning");
    return nullptr;
  }
  if (!text_of(env, argv[1], &own.before_id) || !text_of(env, argv[2], &own.after_id) || !text_of(env, argv[3], &own.own_id)) return nullptr;
  hook(own, socket);
  return nullptr;
}

// shedNoMore(): how many it were
napi_value shed_no_more(napi_env env, napi_callback_info) {
  Shedder& own = shedder();
  for (const Hook& one : own.hooks) own.library.on_data(0, one.context, one.before);
  own.hooks.clear();
  napi_value result = nullptr;
  ok(env, napi_create_uint32(env, own.refused, &result));
  own.refused = 0;
  return result;
}

}  // namespace

void register_shed(napi_env env, napi_value exports) {
  define(env, exports, "shedForm", shed_form);
  define(env, exports, "shedAlso", shed_also);
  define(env, exports, "shedNoMore", shed_no_more);
}

}  // namespace sluice
