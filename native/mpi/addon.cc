// N-API: the methods of a rank for Node. src/mpi has checked all arguments.
#include <memory>

#include "world.h"

namespace simdformer {
namespace {

std::unique_ptr<World> world;

napi_value textOf(napi_env env, const std::string& text) {
  napi_value value;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

}  // namespace

void World::told(napi_env env, napi_value, void* context, void* data) {
  auto& self = *static_cast<World*>(context);
  const std::unique_ptr<Operation> operation(static_cast<Operation*>(data));
  if (env == nullptr) return;
  if (--self.pending_ == 0) napi_unref_threadsafe_function(env, self.done_);
  if (operation->array) napi_delete_reference(env, operation->array);
  if (operation->sumArray) napi_delete_reference(env, operation->sumArray);
  if (!operation->error.empty()) {
    napi_value error;
    napi_create_error(env, nullptr, textOf(env, operation->error), &error);
    napi_reject_deferred(env, operation->deferred, error);
    return;
  }
  napi_value result;
  napi_get_undefined(env, &result);
  if (operation->kind == Operation::kExchange) {
    napi_create_array_with_length(env, operation->lengths.size(), &result);
    size_t at = 0;
    for (size_t rank = 0; rank < operation->lengths.size(); rank++) {
      void* bytes;
      napi_value buffer;
      const size_t length = operation->lengths[rank];
      napi_create_arraybuffer(env, length, &bytes, &buffer);
      if (length > 0) std::memcpy(bytes, operation->result.data() + at, length);
      napi_set_element(env, result, rank, buffer);
      at += length;
    }
  }
  napi_resolve_deferred(env, operation->deferred, result);
}

namespace {

std::vector<napi_value> argumentsOf(napi_env env, napi_callback_info info) {
  size_t count = 6;
  std::vector<napi_value> values(count);
  napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr);
  return values;
}

// Returns the bytes of a typed array, which the operation keeps alive until it has run.
char* take(napi_env env, napi_value array, size_t& bytes, napi_ref& ref) {
  napi_typedarray_type type;
  size_t length, offset;
  void* data;
  napi_value buffer;
  napi_get_typedarray_info(env, array, &type, &length, &data, &buffer, &offset);
  const size_t width = type == napi_float64_array ? 8 : type == napi_uint8_array ? 1 : 4;
  bytes = length * width;
  napi_create_reference(env, array, 1, &ref);
  return static_cast<char*>(data);
}

napi_value post(napi_env env, Operation* operation) {
  napi_value promise;
  napi_create_promise(env, &operation->deferred, &promise);
  world->post(env, operation);
  return promise;
}

int32_t integerOf(napi_env env, napi_value value) {
  int32_t result = 0;
  napi_get_value_int32(env, value, &result);
  return result;
}

// open(seconds): { rank, size }, or throws.
napi_value open(napi_env env, napi_callback_info info) {
  double seconds = 20;
  napi_get_value_double(env, argumentsOf(env, info)[0], &seconds);
  world = std::make_unique<World>(env, seconds);
  if (world->rank() < 0) {
    napi_throw_error(env, nullptr, world->failure().c_str());
    return nullptr;
  }
  napi_value result, rank, size;
  napi_create_object(env, &result);
  napi_create_int32(env, world->rank(), &rank);
  napi_create_int32(env, world->size(), &size);
  napi_set_named_property(env, result, "rank", rank);
  napi_set_named_property(env, result, "size", size);
  return result;
}

// exchange(bytes): ArrayBuffer of each rank.
napi_value exchange(napi_env env, napi_callback_info info) {
  auto* operation = new Operation(Operation::kExchange);
  operation->data = take(env, argumentsOf(env, info)[0], operation->bytes, operation->array);
  return post(env, operation);
}

// reduce(values, sum, isFirst, isLast, wire).
napi_value reduce(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf(env, info);
  auto* operation = new Operation(Operation::kReduce);
  operation->data = take(env, values[0], operation->bytes, operation->array);
  size_t bytes;
  operation->sum = reinterpret_cast<float*>(take(env, values[1], bytes, operation->sumArray));
  operation->part = bytes / 4;
  napi_get_value_bool(env, values[2], &operation->isFirst);
  napi_get_value_bool(env, values[3], &operation->isLast);
  operation->wire = static_cast<Wire>(integerOf(env, values[4]));
  return post(env, operation);
}

// broadcast(values, root).
napi_value broadcast(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf(env, info);
  auto* operation = new Operation(Operation::kBroadcast);
  operation->data = take(env, values[0], operation->bytes, operation->array);
  operation->root = integerOf(env, values[1]);
  return post(env, operation);
}

// allGather(values, lengths of the parts).
napi_value allGather(napi_env env, napi_callback_info info) {
  const auto values = argumentsOf(env, info);
  auto* operation = new Operation(Operation::kAllGather);
  operation->data = take(env, values[0], operation->bytes, operation->array);
  size_t bytes;
  const auto* lengths = reinterpret_cast<int*>(take(env, values[1], bytes, operation->sumArray));
  operation->lengths.assign(lengths, lengths + bytes / sizeof(int));
  return post(env, operation);
}

napi_value fail(napi_env env, napi_callback_info info) {
  const napi_value text = argumentsOf(env, info)[0];
  size_t length = 0;
  napi_get_value_string_utf8(env, text, nullptr, 0, &length);
  std::string reason(length, '\0');
  napi_get_value_string_utf8(env, text, reason.data(), length + 1, &length);
  world->fail(std::move(reason));
  return nullptr;
}

napi_value tick(napi_env, napi_callback_info) {
  world->tick();
  return nullptr;
}

napi_value close(napi_env, napi_callback_info) {
  if (world) world->close();
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback call;
  } methods[] = {{"open", open},           {"exchange", exchange}, {"reduce", reduce}, {"broadcast", broadcast},
                 {"allGather", allGather}, {"fail", fail},         {"tick", tick},     {"close", close}};
  for (const auto& [name, call] : methods) {
    napi_value method;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &method);
    napi_set_named_property(env, exports, name, method);
  }
  return exports;
}

}  // namespace
}  // namespace simdformer

NAPI_MODULE(simdformer_mpi, simdformer::init)
