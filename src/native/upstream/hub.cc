#include "hub.h"

#include "connection.h"

namespace sluice::upstream {

thread_local Hub* hub_of_thread = nullptr;

Hub::Hub(napi_env environment, uv_loop_t* uv_loop, uint32_t head_bytes_max, size_t connections_max)
    : env(environment), loop(uv_loop), rules(head_bytes_max), table(connections_max), sealed(READ_BYTES) {}

bool Hub::open(napi_value on_events, napi_value* out) {
  napi_value events, slab, name;
  if (!take_memory(&events, &slab)) return false;
  if (!ok(env, napi_create_reference(env, on_events, 1, &on_events_))) return false;
  if (!ok(env, napi_create_string_utf8(env, "sluice:upstream", NAPI_AUTO_LENGTH, &name))) return false;
  if (!ok(env, napi_async_init(env, nullptr, name, &context_))) return false;
  if (!ok(env, napi_create_object(env, out)) || !ok(env, napi_set_named_property(env, *out, "events", events))) return false;
  if (!ok(env, napi_set_named_property(env, *out, "slab", slab))) return false;
  if (!ok(env, napi_add_async_cleanup_hook(env, on_environment_end, this, &hook_))) return false;
  start_handles();
  return true;
}

// JavaScript's, and referenced, so that it stays where it is for as long as the environment lives.
bool Hub::take_memory(napi_value* events, napi_value* slab) {
  napi_value numbers, bytes;
  void* numbers_at = nullptr;
  void* bytes_at = nullptr;
  if (!ok(env, napi_create_arraybuffer(env, EventBatch::NUMBERS * sizeof(int32_t), &numbers_at, &numbers))) return false;
  if (!ok(env, napi_create_arraybuffer(env, EventBatch::SLAB_BYTES, &bytes_at, &bytes))) return false;
  if (!ok(env, napi_create_typedarray(env, napi_int32_array, EventBatch::NUMBERS, numbers, 0, events))) return false;
  if (!ok(env, napi_create_typedarray(env, napi_uint8_array, EventBatch::SLAB_BYTES, bytes, 0, slab))) return false;
  batch.attach(static_cast<int32_t*>(numbers_at), static_cast<uint8_t*>(bytes_at));
  return ok(env, napi_create_reference(env, numbers, 1, &events_)) && ok(env, napi_create_reference(env, bytes, 1, &slab_));
}

// Neither keeps the process alive: that is for connections with something under way.
void Hub::start_handles() {
  uv_check_init(loop, &check_);
  uv_idle_init(loop, &idle_);
  check_.data = idle_.data = this;
  handles_ += 2;
  uv_check_start(&check_, on_check);
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
}

void Hub::on_check(uv_check_t* handle) { static_cast<Hub*>(handle->data)->deliver(); }

// Bytes that no record tells of, of heads that are not whole, are the parsers' by now: their room is free as well.
void Hub::deliver() {
  if (ending_) return;
  if (!batch.empty()) {
    batch.publish();
    call_javascript();
  }
  batch.clear();
  table.end_rest();
}

// napi_make_callback, and not a plain call: when it returns, process.nextTick and promises of what JavaScript did have run. A plain
// call would leave them until anything else of Node calls back.
void Hub::call_javascript() {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value function = nullptr, global = nullptr, result = nullptr;
  napi_get_reference_value(env, on_events_, &function);
  napi_get_global(env, &global);
  if (napi_make_callback(env, context_, global, function, 0, nullptr, &result) == napi_pending_exception) {
    napi_value error = nullptr;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

void Hub::call_later(int32_t connection) {
  due_.push_back(connection);
  uv_idle_start(&idle_, on_idle);
}

void Hub::on_idle(uv_idle_t* handle) { static_cast<Hub*>(handle->data)->come_due(); }

void Hub::come_due() {
  uv_idle_stop(&idle_);
  std::vector<int32_t> due;
  due.swap(due_);
  for (const int32_t id : due) {
    make_room();
    if (Connection* connection = table.at(id)) connection->come_due();
  }
}

int32_t Hub::number_of(const char* reason) {
  for (size_t i = 0; i < reasons_.size(); i += 1) {
    if (reasons_[i] == reason) return static_cast<int32_t>(i);
  }
  reasons_.push_back(reason);
  return static_cast<int32_t>(reasons_.size() - 1);
}

const char* Hub::reason_at(int32_t number) const {
  const bool known = number >= 0 && static_cast<size_t>(number) < reasons_.size();
  return known ? reasons_[static_cast<size_t>(number)] : "unknown";
}

// The environment waits until all handles are closed: a loop that still has one ends the process with an assertion.
void Hub::on_environment_end(napi_async_cleanup_hook_handle, void* data) {
  Hub* self = static_cast<Hub*>(data);
  self->ending_ = true;
  if (hub_of_thread == self) hub_of_thread = nullptr;
  for (size_t slot = 0; slot < self->table.slots(); slot += 1) {
    if (Connection* connection = self->table.in_slot(slot)) connection->close();
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&self->check_), on_closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&self->idle_), on_closed);
}

void Hub::on_closed(uv_handle_t* handle) { static_cast<Hub*>(handle->data)->handle_closed(); }

void Hub::handle_closed() {
  handles_ -= 1;
  if (handles_ != 0) return;
  napi_remove_async_cleanup_hook(hook_);
  delete this;
}

}  // namespace sluice::upstream
