// The engine's methods as exports of a WebAssembly module. One instance is one device. Adding an op does not change
// this file. JavaScript accesses the memory directly, and pointers are byte offsets in it.
#include <cstdlib>
#include <string>

#include "engine.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace simdformer {
namespace {

// create() makes these objects. They are never destroyed: they end with the instance.
Engine* engine = nullptr;
std::string* json = nullptr;
std::string* reason = nullptr;  // text of the latest failure
char* stacks = nullptr;

constexpr size_t kStackBytes = 256 << 10;

// The latest failure as JavaScript reads it: three words.
struct {
  int32_t index;
  const char* name;
  const char* reason;
} failed;

}  // namespace

// Creates the engine. The C library allocates only here, because the memory behind its data belongs to the heap.
// `sleeps` is true if the calling thread may block while it waits for others; a page's main thread must not. Returns
// false if memory is short.
EXPORT(create) bool create(int threads, bool sleeps) {
  if (sleeps) letCallerSleep();
  engine = new Engine(*availableIsas()[0], threads);
  json = new std::string(engine->manifest());
  reason = new std::string;
  stacks = static_cast<char*>(aligned_alloc(16, kStackBytes * static_cast<size_t>(threads)));
  return stacks != nullptr && engine->usable() && engine->grow(1);
}

// Pool threads are workers that JavaScript starts. Such a worker sets its instance's stack pointer to stackOf(thread),
// for threads from 1 to threads - 1, and calls join(). join() returns at the next dismiss().
EXPORT(stackOf) char* stackOf(int thread) { return stacks + kStackBytes * static_cast<size_t>(thread); }
EXPORT(join) void join(uint32_t dismissals) { joinPool(dismissals); }
EXPORT(dismiss) void dismiss() { dismissPool(); }

// Adds the kernels of a part, a module over the same memory and table (native/wasm_part.cc). Pool threads need an
// instance of the part, too, so dismiss() lets them leave the pool before.
EXPORT(add) void add(const Isa* part) { engine->add(*part); }

EXPORT(manifest) const char* manifest() { return json->c_str(); }

// Returns memory for a command list of `words`, or null if memory is short. It lies behind the heap and is valid until
// the heap grows.
EXPORT(commands) char* commands(uint32_t words) { return engine->heap().memoryBehind(uint64_t{words} * 4); }

// Runs the list in commands(words). Returns null, or the failure.
EXPORT(run) const void* run(uint32_t words) {
  const Failure failure = engine->run(reinterpret_cast<const uint32_t*>(commands(words)), words);
  if (failure.reason.empty()) return nullptr;
  *reason = failure.reason;
  failed = {static_cast<int32_t>(failure.index), failure.name, reason->c_str()};
  return &failed;
}

EXPORT(grow) bool grow(double bytes) { return engine->grow(static_cast<uint64_t>(bytes)); }
EXPORT(heap) char* heap() { return engine->heap().data(); }
EXPORT(heapBytes) uint32_t heapBytes() { return static_cast<uint32_t>(engine->heap().bytes()); }

}  // namespace simdformer
