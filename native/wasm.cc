// The engine's methods for WebAssembly: one instance of the module is one device. Like the addon, it never grows when
// an op is added. JavaScript accesses the memory itself, and receives pointers unchanged.
#include <cstdlib>
#include <string>

#include "engine.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace simdformer {
namespace {

// Made by create() and never destroyed: they end with the instance.
Engine* engine = nullptr;
std::string* json = nullptr;
std::string* reason = nullptr;  // of the latest failure
char* stacks = nullptr;

constexpr size_t kStackBytes = 256 << 10;

// A Failure in the form that JavaScript reads: three words.
struct {
  int32_t index;
  const char* name;
  const char* reason;
} failed;

}  // namespace

// All allocations of the C library happen here, because the memory behind belongs to the heap. `sleeps` is true if the
// calling thread may sleep while it waits for others; a page's own thread may not.
EXPORT(create) bool create(int threads, bool sleeps) {
  if (sleeps) letCallerSleep();
  engine = new Engine(*availableIsas()[0], threads);
  json = new std::string(engine->manifest());
  reason = new std::string;
  stacks = static_cast<char*>(aligned_alloc(16, kStackBytes * static_cast<size_t>(threads)));
  return stacks != nullptr && engine->usable() && engine->grow(1);
}

// A thread that JavaScript started enters the pool: it sets its instance's stack pointer to stackOf(thread), for
// threads from 1 to threads - 1, and calls join(), which returns at the next dismiss().
EXPORT(stackOf) char* stackOf(int thread) { return stacks + kStackBytes * static_cast<size_t>(thread); }
EXPORT(join) void join(uint32_t dismissals) { joinPool(dismissals); }
EXPORT(dismiss) void dismiss() { dismissPool(); }

// Adds the kernels of a part: native/wasm_part.cc, a module over the same memory and table. Pool threads need an instance
// of it too. Those without one leave the pool before by dismiss().
EXPORT(add) void add(const Isa* part) { engine->add(*part); }

EXPORT(manifest) const char* manifest() { return json->c_str(); }

// Memory for a command list of `words`, behind the heap until the heap grows, where no command reaches; null if there
// is none.
EXPORT(commands) char* commands(uint32_t words) { return engine->heap().roomBehind(uint64_t{words} * 4); }

// Runs the list in commands(words). Returns null, or why it did not run to its end.
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
