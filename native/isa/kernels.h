// Included by each instruction set's stub inside its target pragma, with ISA (its name), ISA_NAME (as text) and
// ISA_SIMD (the header of its primitives) defined. Defines <ISA>::isa().
namespace simdformer::ISA {

namespace {  // every instruction set has its own copy of everything below

inline constexpr Tuning kTuning = tuning::ISA;

// A kernel is a struct whose fields are its operands in the order of its signature; KERNEL(Type) after it puts it into
// the list. Opcodes are positions in this list.
//   static constexpr const char* name, *signature;
//   const char* check() const;      null, or why these operands cannot run
//   void run(Context&) const;
//   Weight weightOperand() const;   if there is an operand that may lie in panels
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

// A kernel of another part has no functions. Only the core, which makes the manifest, has names and signatures.
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

// A kernel whose command ends in any number of words receives its operands as they lie in the list.
template <class T>
uint32_t tailWords(const uint32_t* operands) {
  return (operands[-1] >> 16) - 1 - sizeof(T) / 4;
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
    if (*at == ',') ++words;  // one more number of a group
    if (at != signature && at[-1] != ' ') continue;
    const bool tensor = *at == 'o' || (*at == 'i' && at[1] == 'n');
    if (*at != 't') words += tensor ? 2 : 1;
  }
  return words;
}

// Items that the files below list, in their order: kernels and constants.
template <int N>
struct Listed;

enum { kBeforeFirst = __COUNTER__ };

#define KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kCore>()))
#define KERNEL_WITH_TAIL(Type) LIST_KERNEL(Type, (describeWithTail<Type, Part::kCore>()))
// Kernels of packed weights, those that only training uses, and those that few models use.
#define PACKED_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kPacked>()))
#define TRAINING_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kTraining>()))
#define RARE_KERNEL(Type) LIST_KERNEL(Type, (describe<Type, Part::kRare>()))
#define LIST_KERNEL(Type, description)                                                                   \
  static_assert(sizeof(Type) == 4 * signatureWords(Type::signature), "fields and signature must agree"); \
  LIST(Kernel, description)
// A number that TypeScript reads as device.constant(name), so that it is written down once.
#define CONSTANT(name, value) LIST(Constant, (Constant{name, value}))
#define LIST(Type, description)                   \
  template <>                                     \
  struct Listed<__COUNTER__ - kBeforeFirst - 1> { \
    static constexpr Type item = description;     \
  };

// A condition of check(): returns the reason if it does not hold.
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

// All items of one type.
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
#undef LIST_KERNEL
#undef CONSTANT
#undef LIST
#undef REQUIRE
#undef SIMD_INLINE
