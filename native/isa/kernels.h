// Compiles all kernels for one instruction set and lists them. Each native/isa/<set>.cc includes this file inside its
// target pragma. Before, it defines ISA (name of the set), ISA_NAME (the name as text) and ISA_SIMD (header of its
// primitives). The result is the function <ISA>::isa().
namespace simdformer::ISA {

namespace {  // each instruction set has its own copy of everything below

inline constexpr Tuning kTuning = tuning::ISA;

// A kernel is a struct whose fields are its operands, in the order of its signature. KERNEL(Type) after the struct adds
// it to the list. The opcode is the position in this list.
//
//   static constexpr const char* name, *signature;
//   const char* check() const;      returns null, or why these operands are invalid
//   void run(Context&) const;
//   Weight weightOperand() const;   optional: the operand that may lie in panels (panels.h)
template <class T>
T decode(const uint32_t* operands) {
  T command;
  memcpy(&command, operands, sizeof(T));
  return command;
}

template <class T>
constexpr auto weightOf() -> Weight (*)(const uint32_t*) {
  if constexpr (kTuning.panels && requires { &T::weightOperand; })
    return [](const uint32_t* operands) { return decode<T>(operands).weightOperand(); };
  else
    return nullptr;
}

// A kernel of another part has no functions here. Only the core, which makes the manifest, has names and signatures.
template <class T, Part part>
constexpr Kernel nameOnly(bool tail) {
  if constexpr (compiles(Part::kCore))
    return {part, T::name, T::signature, sizeof(T) / 4, tail, nullptr, nullptr, nullptr};
  return {};
}

template <class T, Part part>
constexpr Kernel describe() {
  Kernel kernel = nameOnly<T, part>(false);
  if constexpr (compiles(part)) {
    kernel.check = [](const uint32_t* operands) { return decode<T>(operands).check(); };
    kernel.run = [](const uint32_t* operands, Context& context) { decode<T>(operands).run(context); };
    kernel.weight = weightOf<T>();
  }
  return kernel;
}

// A kernel with a tail of any number of words receives a pointer to its operands in the command list.
template <class T>
uint32_t tailWords(const uint32_t* operands) {
  return commandWords(operands[-1]) - 1 - sizeof(T) / 4;
}

template <class T, Part part>
constexpr Kernel describeWithTail() {
  Kernel kernel = nameOnly<T, part>(true);
  if constexpr (compiles(part)) {
    kernel.check = T::check;
    kernel.run = T::run;
  }
  return kernel;
}

constexpr uint32_t signatureWords(const char* signature) {
  uint32_t words = 0;
  for (const char* at = signature; *at != '\0'; ++at) {
    if (*at == ',') ++words;  // one more field of a group
    if (at != signature && at[-1] != ' ') continue;
    const bool tensor = *at == 'o' || (*at == 'i' && at[1] == 'n');
    if (*at != 't') words += tensor ? 2 : 1;
  }
  return words;
}

// The items listed by the files included below, in their order: kernels and constants.
template <int N>
struct Listed;

enum { kBeforeFirst = __COUNTER__ };

#define KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kCore>()))
#define KERNEL_WITH_TAIL(Type) LIST_KERNEL(Type, (describeWithTail<Type, Part::kCore>()))
// Kernels for packed weights, for training, for rare models, and for bfloat16. WebAssembly loads each of these parts on
// demand.
#define PACKED_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kPacked>()))
#define TRAINING_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kTraining>()))
#define RARE_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kRare>()))
#define BFLOAT16_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kBfloat16>()))
#define LIST_KERNEL(Type, description)                                                                   \
  static_assert(sizeof(Type) == 4 * signatureWords(Type::signature), "fields and signature must agree"); \
  LIST(Kernel, description)
// A number that TypeScript reads as device.constant(name), so that it is defined in one place.
#define CONSTANT(name, value) LIST(Constant, (Constant{name, value}))
#define LIST(Type, description)                   \
  template <>                                     \
  struct Listed<__COUNTER__ - kBeforeFirst - 1> { \
    static constexpr Type item = description;     \
  };

// Makes check() return the reason if the condition does not hold.
#define REQUIRE(condition, reason) \
  if (!(condition)) return reason

#define SIMD_INLINE inline __attribute__((always_inline))

#include ISA_SIMD
#include "simd/vec.h"
#include "simd/math.h"
#include "kernels.inc"

using AllListed = std::make_index_sequence<__COUNTER__ - kBeforeFirst - 1>;

template <class Type, int N>
constexpr bool kIsListedAs = std::is_same_v<decltype(Listed<N>::item), const Type>;

// Collects all items of one type into an array.
template <class Type, size_t... I>
constexpr auto list(std::index_sequence<I...>) {
  std::array<Type, (size_t{0} + ... + kIsListedAs<Type, I>)> items{};
  size_t count = 0;
  const auto add = [&](const auto& item) {
    if constexpr (std::is_same_v<decltype(item), const Type&>) items[count++] = item;
  };
  (add(Listed<I>::item), ...);
  return items;
}

}  // namespace

const Isa& isa() {
  static constexpr auto kernels = list<Kernel>(AllListed());
  static constexpr auto constants = list<Constant>(AllListed());
  if constexpr (compiles(Part::kCore)) {
    static constexpr Isa self{ISA_NAME,         kernels.data(),   kernels.size(),  kPanelCols,
                              constants.data(), constants.size(), kFormats.data(), kFormats.size()};
    return self;
  } else {
    static constexpr Isa self{ISA_NAME, kernels.data(), kernels.size(), kPanelCols, nullptr, 0, nullptr, 0};
    return self;
  }
}

}  // namespace simdformer::ISA

#undef KERNEL
#undef KERNEL_WITH_TAIL
#undef PACKED_KERNEL
#undef TRAINING_KERNEL
#undef RARE_KERNEL
#undef BFLOAT16_KERNEL
#undef LIST_KERNEL
#undef CONSTANT
#undef LIST
#undef REQUIRE
#undef SIMD_INLINE
