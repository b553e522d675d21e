#include <algorithm>
#include <string_view>

#include "context.h"
#include "engine.h"

namespace simdformer {
namespace {

// Calls visit(kind, optional, name) for each operand of a signature such as "in:x in?:bias out:y u32:sizes{rows,cols}".
// The name includes the fields.
template <class Visit>
void eachOperand(const char* signature, Visit visit) {
  for (const char* at = signature; *at != '\0';) {
    const char* end = at;
    while (*end != ' ' && *end != '\0') ++end;
    const char* colon = at;
    while (*colon != ':') ++colon;
    const bool optional = colon[-1] == '?';
    visit(std::string_view(at, static_cast<size_t>(colon - at) - optional), optional,
          std::string_view(colon + 1, static_cast<size_t>(end - colon - 1)));
    at = *end == ' ' ? end + 1 : end;
  }
}

bool isTensor(std::string_view kind) { return kind == "in" || kind == "out" || kind == "inout"; }

// Number of words of an operand in a command, without a tail.
uint32_t wordsOf(std::string_view kind, std::string_view name) {
  if (isTensor(kind)) return 2;
  return kind == "tail" ? 0 : 1 + static_cast<uint32_t>(std::count(name.begin(), name.end(), ','));
}

// Describes an operand as JSON.
std::string describe(std::string_view kind, bool optional, std::string_view name) {
  const size_t brace = name.find('{');
  std::string json = "{\"name\":\"";
  json.append(name.substr(0, brace)).append("\",\"kind\":\"").append(kind).append(optional ? "?\"" : "\"");
  if (brace != name.npos) {
    json += ",\"fields\":[\"";
    for (const char c : name.substr(brace + 1, name.size() - brace - 2)) json += c == ',' ? "\",\"" : std::string(1, c);
    json += "\"]";
  }
  return json + "}";
}

// Describes a format as JSON.
std::string describe(const Format& format) {
  std::string json = std::string("{\"name\":\"") + format.name + "\"";
  const auto number = [&](const char* name, uint32_t value) {
    json.append(",\"").append(name).append("\":").append(std::to_string(value));
  };
  if (format.ggufName != nullptr) {
    json += std::string(",\"ggufName\":\"") + format.ggufName + "\"";
    number("ggufType", format.ggufType);
  }
  number("inputs", format.inputs);
  number("blockBytes", format.blockBytes);
  number("rowHead", format.rowHead);
  number("recordBytes", format.recordBytes);
  number("tileHead", format.tileHead);
  number("bits", format.bits);
  if (format.integers) {
    number("offset", format.offset);
    number("scales", format.scales);
    number("factorGroups", format.factorGroups);
  }
  return json + ",\"made\":" + (format.made ? "true" : "false") + "}";
}

}  // namespace

Engine::Engine(const Isa& isa, int threads, Priority priority)
    : isa_(isa),
      kernels_(isa.kernels, isa.kernels + isa.count),
      threads_(threads),
      priority_(priority),
      limit_(threads),
      tensors_(isa.count),
      panels_(heap_.data(), isa.panelCols) {
  for (uint32_t op = 0; op < isa.count; ++op) {
    uint32_t at = 0;
    eachOperand(isa.kernels[op].signature, [&](std::string_view kind, bool optional, std::string_view name) {
      if (isTensor(kind)) tensors_[op].push_back({at, optional});
      at += wordsOf(kind, name);
    });
  }
  if (scratch_heap_.grow(kScratchBytes * static_cast<size_t>(threads))) scratch_ = scratch_heap_.data();
}

#ifdef __wasm__
void Engine::add(const Isa& part) {
  for (uint32_t op = 0; op < isa_.count; ++op) {
    if (part.kernels[op].run == nullptr) continue;
    kernels_[op].check = part.kernels[op].check;
    kernels_[op].run = part.kernels[op].run;
  }
}
#endif

bool Engine::grow(uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(growing_);
  return heap_.grow(bytes);
}

bool Engine::prepareAccess(uint64_t byteOffset, size_t bytes) {
  if (byteOffset > heap_.bytes() || bytes > heap_.bytes() - byteOffset) return false;
  panels_.touch(byteOffset / 4, (bytes + byteOffset % 4 + 3) / 4);
  return true;
}

bool Engine::read(uint64_t byteOffset, void* target, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!prepareAccess(byteOffset, bytes)) return false;
  if (bytes > 0) memcpy(target, heap_.data() + byteOffset, bytes);
  return true;
}

#ifndef __wasm__
bool Engine::discard(uint64_t byteOffset, uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!prepareAccess(byteOffset, bytes)) return false;
  heap_.discard(byteOffset, bytes);
  return true;
}
#endif

bool Engine::write(uint64_t byteOffset, const void* source, size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!prepareAccess(byteOffset, bytes)) return false;
  if (bytes > 0) memcpy(heap_.data() + byteOffset, source, bytes);
  return true;
}

// Returns null, or why the command that starts at `words` cannot run. Restores weights in panels that it touches,
// except the weight that its kernel can read in panels.
const char* Engine::check(const uint32_t* words, size_t left) {
  const uint32_t opcode = opcodeOf(words[0]);
  if (opcode >= isa_.count) return "unknown opcode";
  const Kernel& kernel = kernels_[opcode];
  const uint32_t length = commandWords(words[0]);
  if (kernel.run == nullptr) return "its part of the engine is not loaded";
  if (length < kernel.words + 1 || (length > kernel.words + 1 && !kernel.tail)) return "wrong number of operand words";
  if (length > left) return "command list ends inside the command";
  for (const auto& [at, optional] : tensors_[opcode]) {
    const uint32_t offset = words[1 + at], size = words[2 + at];
    if (size == 0 && !optional) return "a tensor operand is empty";
    if (uint64_t{offset} + size > heap_.words()) return "a tensor operand reaches outside the heap";
  }
  if (const char* reason = kernel.check(words + 1)) return reason;
  const Weight weight = kernel.weight == nullptr ? Weight{} : kernel.weight(words + 1);
  for (const auto& [at, optional] : tensors_[opcode]) {
    if (weight.present() && at == weight.at)
      panels_.use(words[1 + at], weight);
    else
      panels_.touch(words[1 + at], words[2 + at]);
  }
  return nullptr;
}

struct Engine::Walk {
  Engine& engine;
  const uint32_t* words;
  size_t count;
  RunState state;
};

void Engine::walk(void* data, Job& job, int thread) {
  Walk& walk = *static_cast<Walk*>(data);
  Engine& engine = walk.engine;
  Context context(engine.heap_.data(), engine.scratch_, engine.panels_, job, thread, walk.state);
  for (size_t at = 0; at < walk.count && !context.ended(); at += commandWords(walk.words[at]), ++context.command)
    engine.kernels_[opcodeOf(walk.words[at])].run(walk.words + at + 1, context);
}

Failure Engine::run(const uint32_t* words, size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  panels_.layOut();
  int64_t index = 0;
  for (size_t at = 0; at < count; at += commandWords(words[at]), ++index) {
    if (const char* reason = check(words + at, count - at)) {
      const uint32_t opcode = opcodeOf(words[at]);
      return {index, opcode < isa_.count ? isa_.kernels[opcode].name : "?", reason};
    }
  }
  if (count == 0) return {};
  Walk walk{*this, words, count, {}};
  runJob(limit_, priority_, &Engine::walk, &walk);
  const Fault& fault = walk.state.fault;
  const char* text = fault.reason.load();
  if (text == nullptr) return {};
  std::string reason = text;
  if (fault.row >= 0)
    reason = "row " + std::to_string(fault.row) + " of " + reason + " is " + std::to_string(fault.given) +
             ", expected 0 to " + std::to_string(fault.limit - 1);
  else if (fault.limit >= 0)
    reason += ": " + std::to_string(fault.given) + ", expected 0 to " + std::to_string(fault.limit - 1);
  size_t at = 0;
  for (int64_t i = fault.command; i > 0; --i) at += commandWords(words[at]);
  return {fault.command, isa_.kernels[opcodeOf(words[at])].name, reason};
}

std::string Engine::manifest() const {
  std::string json = std::string("{\"version\":\"") + kVersion + "\",\"isa\":\"" + isa_.name + "\",\"isas\":[";
  for (const Isa* const* isa = availableIsas(); *isa != nullptr; ++isa)
    json += std::string(isa == availableIsas() ? "\"" : ",\"") + (*isa)->name + "\"";
  json += "],\"threads\":" + std::to_string(threads_) + ",\"ops\":[";
  for (uint32_t op = 0; op < isa_.count; ++op) {
    json += std::string(op == 0 ? "" : ",") + "{\"name\":\"" + isa_.kernels[op].name + "\",\"part\":\"" +
            kPartNames[static_cast<size_t>(isa_.kernels[op].part)] + "\",\"operands\":[";
    bool first = true;
    eachOperand(isa_.kernels[op].signature, [&](std::string_view kind, bool optional, std::string_view name) {
      json.append(first ? "" : ",").append(describe(kind, optional, name));
      first = false;
    });
    json += "]}";
  }
  json += "],\"constants\":{\"engine.maxThreads\":" + std::to_string(kMaxThreads);
  for (uint32_t i = 0; i < isa_.constantCount; ++i)
    json += std::string(",\"") + isa_.constants[i].name + "\":" + std::to_string(isa_.constants[i].value);
  json += "},\"formats\":[";
  for (uint32_t i = 0; i < isa_.formatCount; ++i) json += (i == 0 ? "" : ",") + describe(isa_.formats[i]);
  return json + "]}";
}

}  // namespace simdformer
