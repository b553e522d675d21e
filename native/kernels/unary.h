// Element-wise functions of one tensor, and their gradients. A function is a line in EACH_UNARY and a struct. value(x,
// p, q) returns y. gradient(dy, x, y, p, q) returns dy·∂y/∂x. p and q are the function's parameters, if any. As in
// PyTorch, a slope of 0 gives the gradient 0 even if dy is not finite.
#include "kernels/shared/activations.h"
#include "kernels/shared/elementary.h"
#include "kernels/shared/results.h"

namespace unary {

// The struct of each function, and its name in the manifest.
#define EACH_UNARY(X)             \
  X(Exp, "unary.exp")             \
  X(Log, "unary.log")             \
  X(Sqrt, "unary.sqrt")           \
  X(Rsqrt, "unary.rsqrt")         \
  X(Abs, "unary.abs")             \
  X(Sign, "unary.sign")           \
  X(Sin, "unary.sin")             \
  X(Cos, "unary.cos")             \
  X(Floor, "unary.floor")         \
  X(Round, "unary.round")         \
  X(Clamp, "unary.clamp")         \
  X(Pow, "unary.pow")             \
  X(Elu, "unary.elu")             \
  X(LeakyRelu, "unary.leakyRelu") \
  X(Softplus, "unary.softplus")   \
  X(SmoothL1, "unary.smoothL1")   \
  X(XLogX, "unary.xlogx")         \
  X(NormalCdf, "unary.normalCdf")

struct Exp {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return exp(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf, Vf y, Vf, Vf) { return dy * y; }
};

struct Log {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return log(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf, Vf) { return dy / x; }
};

struct Sqrt {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return sqrt(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf, Vf y, Vf, Vf) { return dy / (y + y); }
};

struct Rsqrt {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return splat(1.f) / sqrt(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf, Vf y, Vf, Vf) { return splat(-.5f) * dy * (y * y * y); }
};

struct Abs {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return absolute(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf, Vf) { return dy * signOf(x); }
};

struct Flat {  // a function whose derivative is 0
  SIMD_INLINE static Vf gradient(Vf, Vf, Vf, Vf, Vf) { return splat(0.f); }
};
struct Sign : Flat {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return signOf(x); }
};
struct Floor : Flat {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return floor(x); }
};
struct Round : Flat {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return roundToEven(x); }
};

struct Sin {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return sin(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf, Vf) { return dy * cos(x); }
};

struct Cos {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return cos(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf, Vf) { return -dy * sin(x); }
};

// Limits x to [p, q]. If p > q, the result is q.
struct Clamp {
  SIMD_INLINE static Vf value(Vf x, Vf p, Vf q) {
    return min(q, max(p, x));
  }  // this order of the operands lets NaN pass
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf p, Vf q) {
    return x >= p ? (x <= q ? dy : splat(0.f)) : splat(0.f);
  }
};

// x^p.
struct Pow {
  SIMD_INLINE static Vf value(Vf x, Vf p, Vf) { return pow(x, p); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf p, Vf) {
    return p == splat(0.f) ? splat(0.f) : dy * (p * pow(x, p - splat(1.f)));
  }
};

// x for x > 0, else p·(e^x - 1).
struct Elu {
  SIMD_INLINE static Vf value(Vf x, Vf p, Vf) { return elu(x, p); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf p, Vf) { return dy * eluSlope(x, p); }
};

// x for x > 0, else p·x.
struct LeakyRelu {
  SIMD_INLINE static Vf value(Vf x, Vf p, Vf) { return leakyRelu(x, p); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf p, Vf) { return dy * leakyReluSlope(x, p); }
};

// ln(1 + e^(p·x)) / p, or x where p·x > q.
struct Softplus {
  SIMD_INLINE static Vf value(Vf x, Vf p, Vf q) { return softplus(x, p, q); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf p, Vf q) { return dy * softplusSlope(x, p, q); }
};

// x²/(2p) where |x| < p, else |x| - p/2.
struct SmoothL1 {
  SIMD_INLINE static Vf value(Vf x, Vf p, Vf) {
    const Vf size = absolute(x);
    return size < p ? splat(.5f) * size * size / p : size - splat(.5f) * p;
  }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf p, Vf) { return absolute(x) < p ? dy * x / p : dy * signOf(x); }
};

// x·ln x, and 0 for x = 0.
struct XLogX {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) { return x == splat(0.f) ? splat(0.f) : x * log(x); }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf, Vf) { return dy * (log(x) + splat(1.f)); }
};

// Φ(x), the standard normal distribution function.
struct NormalCdf {
  SIMD_INLINE static Vf value(Vf x, Vf, Vf) {
    const Vf tail = normal(x).tail;
    return x > splat(0.f) ? splat(1.f) - tail : tail;
  }
  SIMD_INLINE static Vf gradient(Vf dy, Vf x, Vf, Vf, Vf) {
    return dy * (normal(x).gaussian * splat(.3989422804014327f));  // 1/√2π
  }
};

enum Kind : uint32_t {
#define X(Function, name) k##Function,
  EACH_UNARY(X)
#undef X
      kKinds
};

// Calls body(Function{}), so that loops are compiled for each function and branch once.
template <class Body>
SIMD_INLINE void withFunction(uint32_t kind, const Body& body) {
  switch (kind) {
#define X(Function, name) \
  case k##Function:       \
    return body(Function{});
    EACH_UNARY(X)
#undef X
    default:
      return;
  }
}

}  // namespace unary

#define X(Function, name) CONSTANT(name, unary::k##Function)
EACH_UNARY(X)
#undef X
#undef EACH_UNARY

// y[i] = f(x[i]) for i < count. y may be x.
struct Unary {
  static constexpr const char* name = "unary";
  static constexpr const char* signature = "in:x out:y u32:count u32:kind f32:p f32:q";
  Span x, y;
  uint32_t count, kind;
  float p, q;

  const char* check() const {
    REQUIRE(kind < unary::kKinds, "unknown kind");
    REQUIRE(x.covers(count) && y.covers(count), "x or y is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const float* from = context.f32(x);
    float* to = context.f32(y);
    unary::withFunction(kind, [&](auto function) {
      withResults(count, [&](auto nonTemporal, uint64_t more) {
        context.team.parallelRange(count, more * 8192, [&](uint64_t first, uint64_t last) {
          eachVector(last - first, [&](size_t i, size_t lanes) {
            const Vf y = function.value(loadLanes(from + first + i, lanes), splat(p), splat(q));
            storeResult<nonTemporal()>(to + first + i, y, lanes);
          });
          if (nonTemporal()) fenceNonTemporal();
        });
      });
    });
  }
};
KERNEL(Unary)

// dx[i] = dy[i]·f'(x[i]) (+ dx[i] if accumulate).
struct UnaryBackward {
  static constexpr const char* name = "unaryBackward";
  static constexpr const char* signature = "in:dy in:x in:y inout:dx u32:count u32:kind f32:p f32:q u32:accumulate";
  Span dy, x, y, dx;
  uint32_t count, kind;
  float p, q;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(kind < unary::kKinds, "unknown kind");
    REQUIRE(dy.covers(count) && dx.covers(count), "dy or dx is smaller than count");
    REQUIRE(x.covers(count) && y.covers(count), "x or y is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    unary::withFunction(kind, [&](auto function) {
      context.team.parallelRange(count, 8192, [&](uint64_t first, uint64_t last) {
        const float* upstream = context.f32(dy) + first;
        const float* from = context.f32(x) + first;
        const float* result = context.f32(y) + first;
        float* to = context.f32(dx) + first;
        eachVector(last - first, [&](size_t i, size_t lanes) {
          const Vf given = loadLanes(from + i, lanes), value = loadLanes(result + i, lanes);
          const Vf gradient = function.gradient(loadLanes(upstream + i, lanes), given, value, splat(p), splat(q));
          storeLanes(to + i, accumulate != 0 ? gradient + loadLanes(to + i, lanes) : gradient, lanes);
        });
      });
    });
  }
};
TRAINING_KERNEL(UnaryBackward)
