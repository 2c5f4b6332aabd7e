// Tells when all that was ready has been served. Gateway worker, main thread.
//
// A loop that is overloaded does not turn when one would think: libuv asks epoll up to 48 times in one turn, as long as it has as many
// events as can be told at once, so timers and immediates come after 50,000 of them. What is ready stands in a queue in the kernel, and what
// is still ready when it was told stands behind the others again. So a descriptor that can always be read comes up once in each pass.
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include <vector>

#include "addon.h"

namespace sluice {
namespace {

class Turns {
 public:
  explicit Turns(napi_env environment) : env_(environment) {}

  // False, and a pending exception: it cannot be used.
  bool open() {
    uv_loop_t* loop = nullptr;
    napi_value name = nullptr;
    if (!ok(env_, napi_get_uv_event_loop(env_, &loop))) return false;
    if (!ok(env_, napi_create_string_utf8(env_, "sluice:turns", NAPI_AUTO_LENGTH, &name))) return false;
    if (!ok(env_, napi_async_init(env_, nullptr, name, &context_))) return false;
    descriptor_ = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    if (descriptor_ < 0 || uv_poll_init(loop, &poll_, descriptor_) != 0) {
      napi_throw_error(env_, "SLUICE_NATIVE", "eachTurn: no descriptor");
      return false;
    }
    poll_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
    return ok(env_, napi_add_async_cleanup_hook(env_, on_environment_end, this, &hook_));
  }

  void add(napi_value callback) {
    napi_ref reference = nullptr;
    if (!ok(env_, napi_create_reference(env_, callback, 1, &reference))) return;
    callbacks_.push_back(reference);
    if (callbacks_.size() == 1) uv_poll_start(&poll_, UV_READABLE, on_turn);
  }

 private:
  static void on_turn(uv_poll_t* poll, int, int) { static_cast<Turns*>(poll->data)->call_all(); }

  // What is added meanwhile is for the next one.
  void call_all() {
    std::vector<napi_ref> now;
    now.swap(callbacks_);
    for (const napi_ref callback : now) {
      if (wants_more(callback)) {
        callbacks_.push_back(callback);
      } else {
        napi_delete_reference(env_, callback);
      }
    }
    if (callbacks_.empty()) uv_poll_stop(&poll_);
  }

  bool wants_more(napi_ref callback) {
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env_, &scope) != napi_ok) return false;
    napi_value function = nullptr, global = nullptr, result = nullptr;
    napi_get_reference_value(env_, callback, &function);
    napi_get_global(env_, &global);
    bool wants = false;
    if (napi_make_callback(env_, context_, global, function, 0, nullptr, &result) == napi_ok) {
      napi_get_value_bool(env_, result, &wants);
    } else {
      fail();
    }
    napi_close_handle_scope(env_, scope);
    return wants;
  }

  void fail() {
    napi_value error = nullptr;
    if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
  }

  static void on_environment_end(napi_async_cleanup_hook_handle, void* data) {
    Turns* self = static_cast<Turns*>(data);
    uv_close(reinterpret_cast<uv_handle_t*>(&self->poll_), on_closed);
  }

  static void on_closed(uv_handle_t* handle);

  napi_env env_;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  int descriptor_ = -1;
  uv_poll_t poll_;
  std::vector<napi_ref> callbacks_;
};

thread_local Turns* turns_of_thread = nullptr;

void Turns::on_closed(uv_handle_t* handle) {
  Turns* self = static_cast<Turns*>(handle->data);
  turns_of_thread = nullptr;
  ::close(self->descriptor_);
  napi_remove_async_cleanup_hook(self->hook_);
  delete self;
}

// eachTurn(callback)
napi_value each_turn(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value callback = nullptr;
  if (!ok(env, napi_get_cb_info(env, info, &argc, &callback, nullptr, nullptr))) return nullptr;
  if (turns_of_thread == nullptr) {
    Turns* made = new Turns(env);
    if (!made->open()) return nullptr;
    turns_of_thread = made;
  }
  turns_of_thread->add(callback);
  return nullptr;
}

}  // namespace

void register_turns(napi_env env, napi_value exports) { define(env, exports, "eachTurn", each_turn); }

}  // namespace sluice
