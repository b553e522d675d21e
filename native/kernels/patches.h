// The patches that a convolution multiplies with its weights (im2col), and their gradient (col2im).
//
// In each spatial dimension, outputs are `stride` apart, the taps of a patch `dilation`, and the input is padded with
// zeros. Output o reads the input at o·stride + tap·dilation - pad. Sequences are images of height 1.
//
//   channels first:  x [batch, channels, height, width]
//                    patches [batch, channels, kernelHeight, kernelWidth, outHeight, outWidth]
//   channels last:   x [batch, height, width, channels]
//                    patches [groups, batch, outHeight, outWidth, kernelHeight, kernelWidth, channels / groups]
//
// In both layouts, the patches of a group are one matrix per image, or for all images. Adjacent words of the input stay
// adjacent in the patches.
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"

struct PatchShape {
  // Arrays of two are [height, width].
  uint32_t batch, channels, in[2], out[2], kernel[2], stride[2], pad[2], dilation[2];
  uint32_t groups, channelsLast;

  uint64_t inputs() const {
    const uint32_t sizes[] = {batch, channels, in[0], in[1]};
    return product(sizes, 0, 4);
  }
  uint64_t patches() const {
    const uint32_t sizes[] = {batch, channels, out[0], out[1], kernel[0], kernel[1]};
    return product(sizes, 0, 6);
  }

  const char* check(Span x, Span y) const {
    REQUIRE(inputs() > 0 && patches() > 0, "a size is 0");
    REQUIRE(x.covers(inputs()), "x is too small for its shape");
    REQUIRE(y.covers(patches()), "patches is too small for its shape");
    REQUIRE(groups > 0 && channels % groups == 0, "channels is not a multiple of groups");
    for (int d = 0; d < 2; ++d) {
      REQUIRE(stride[d] > 0 && dilation[d] > 0, "stride or dilation is 0");
      const uint64_t room = uint64_t{in[d]} + 2 * uint64_t{pad[d]};
      const uint64_t reach = uint64_t{out[d] - 1} * stride[d], taps = uint64_t{kernel[d] - 1} * dilation[d];
      REQUIRE(reach < room && taps < room && reach + taps < room, "patches extend beyond the padded input");
    }
    return nullptr;
  }

  // The input index that output `o` reads for `tap`. Outside [0, in) the input is zero.
  int64_t inputAt(int d, uint64_t o, uint64_t tap) const {
    return static_cast<int64_t>(o * stride[d] + tap * dilation[d]) - pad[d];
  }
  bool isInside(int d, int64_t i) const { return i >= 0 && i < in[d]; }

  // The outputs [first, last) along the width whose `tap` is inside the input.
  struct Range {
    uint64_t first, last;
  };
  Range inside(uint64_t tap) const {
    const uint64_t shift = tap * dilation[1], step = stride[1], end = uint64_t{in[1]} + pad[1];
    const uint64_t first = shift >= pad[1] ? 0 : divideUp(pad[1] - shift, step);
    const uint64_t last = end > shift ? divideUp(end - shift, step) : 0;
    const uint64_t limited = atMost(last, out[1]);
    return {atMost(first, limited), limited};
  }

  // Calls body(output, tap) for each pair that reads input `i` along dimension d, in ascending order of taps.
  template <class Body>
  void eachReader(int d, uint64_t i, const Body& body) const {
    for (uint64_t tap = 0; tap < kernel[d]; ++tap) {
      const uint64_t at = i + pad[d], shift = tap * dilation[d];
      if (at < shift) return;
      if ((at - shift) % stride[d] == 0 && (at - shift) / stride[d] < out[d]) body((at - shift) / stride[d], tap);
    }
  }
};

struct Patches {
  static constexpr const char* name = "patches";
  static constexpr const char* signature =
      "in:x out:patches u32:batch u32:channels u32:height u32:width u32:outHeight u32:outWidth u32:kernelHeight "
      "u32:kernelWidth u32:strideHeight u32:strideWidth u32:padHeight u32:padWidth u32:dilationHeight "
      "u32:dilationWidth u32:groups u32:channelsLast";
  Span x, patches;
  PatchShape shape;

  const char* check() const { return shape.check(x, patches); }

  void run(Context& context) const { shape.channelsLast != 0 ? gatherLast(context) : gatherFirst(context); }

 private:
  // Channels first: copies a row of outWidth words for each image, channel, tap and output row.
  void gatherFirst(Context& context) const {
    const PatchShape& s = shape;
    const uint64_t width = s.out[1], step = s.stride[1];
    context.team.parallelRange(s.patches() / width, copyGrain(width), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) {
        const uint64_t oy = row % s.out[0], taps = row / s.out[0];
        const uint64_t tapX = taps % s.kernel[1], tapY = taps / s.kernel[1] % s.kernel[0];
        const uint64_t plane = taps / s.kernel[1] / s.kernel[0];
        float* target = context.f32(patches) + row * width;
        const int64_t iy = s.inputAt(0, oy, tapY);
        const PatchShape::Range range = s.isInside(0, iy) ? s.inside(tapX) : PatchShape::Range{0, 0};
        memset(target, 0, range.first * sizeof(float));
        memset(target + range.last, 0, (width - range.last) * sizeof(float));
        if (range.first == range.last) continue;
        const float* source =
            context.f32(x) + (plane * s.in[0] + static_cast<uint64_t>(iy)) * s.in[1] + s.inputAt(1, range.first, tapX);
        if (step == 1) {
          moveRow(source, target + range.first, range.last - range.first, false);
        } else {
          for (uint64_t ox = range.first; ox < range.last; ++ox, source += step) target[ox] = *source;
        }
      }
    });
  }

  // Channels last: copies the channels of each image, output, tap and group.
  void gatherLast(Context& context) const {
    const PatchShape& s = shape;
    const uint64_t each = s.channels / s.groups, taps = uint64_t{s.kernel[0]} * s.kernel[1] * each;
    const uint64_t positions = s.patches() / (uint64_t{s.channels} * s.kernel[0] * s.kernel[1]);
    context.team.parallelRange(positions, copyGrain(taps * s.groups), [&](uint64_t position, uint64_t last) {
      for (; position < last; ++position) {
        const uint64_t ox = position % s.out[1], oy = position / s.out[1] % s.out[0];
        const uint64_t image = position / s.out[1] / s.out[0];
        for (uint64_t group = 0; group < s.groups; ++group) {
          float* target = context.f32(patches) + (group * positions + position) * taps;
          for (uint64_t tapY = 0; tapY < s.kernel[0]; ++tapY, target += s.kernel[1] * each)
            gatherRow(context, image, s.inputAt(0, oy, tapY), ox, group * each, target);
        }
      }
    });
  }

  // Copies the taps along the width: row `iy` of `image`, output column `ox`.
  void gatherRow(Context& context, uint64_t image, int64_t iy, uint64_t ox, uint64_t channel, float* target) const {
    const PatchShape& s = shape;
    const uint64_t each = s.channels / s.groups;
    if (!s.isInside(0, iy)) {
      memset(target, 0, s.kernel[1] * each * sizeof(float));
      return;
    }
    const float* row = context.f32(x) + (image * s.in[0] + static_cast<uint64_t>(iy)) * s.in[1] * s.channels + channel;
    const int64_t ix = s.inputAt(1, ox, 0);
    if (s.groups == 1 && s.dilation[1] == 1 && ix >= 0 && ix + s.kernel[1] <= s.in[1])
      return moveRow(row + static_cast<uint64_t>(ix) * each, target, s.kernel[1] * each, false);
    for (uint64_t tap = 0; tap < s.kernel[1]; ++tap, target += each) {
      const int64_t at = s.inputAt(1, ox, tap);
      if (s.isInside(1, at))
        moveRow(row + static_cast<uint64_t>(at) * s.channels, target, each, false);
      else
        memset(target, 0, each * sizeof(float));
    }
  }
};
RARE_KERNEL(Patches)

// dx[i] = Σ dpatches over the outputs and taps that read input i (+ dx[i] if accumulate). The order of additions does
// not depend on the number of threads.
struct PatchesBackward {
  static constexpr const char* name = "patchesBackward";
  static constexpr const char* signature =
      "in:dpatches inout:dx u32:batch u32:channels u32:height u32:width u32:outHeight u32:outWidth u32:kernelHeight "
      "u32:kernelWidth u32:strideHeight u32:strideWidth u32:padHeight u32:padWidth u32:dilationHeight "
      "u32:dilationWidth u32:groups u32:channelsLast u32:accumulate";
  Span dpatches, dx;
  PatchShape shape;
  uint32_t accumulate;

  const char* check() const { return shape.check(dx, dpatches); }

  void run(Context& context) const { shape.channelsLast != 0 ? scatterLast(context) : scatterFirst(context); }

 private:
  // Channels first: sums a row of the input for each image, channel and height.
  void scatterFirst(Context& context) const {
    const PatchShape& s = shape;
    const uint64_t width = s.in[1], taps = uint64_t{s.kernel[0]} * s.kernel[1];
    context.team.parallelRange(s.inputs() / width, copyGrain(width * taps), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) {
        const uint64_t plane = row / s.in[0];
        float* target = context.f32(dx) + row * width;
        if (accumulate == 0) memset(target, 0, width * sizeof(float));
        s.eachReader(0, row % s.in[0], [&](uint64_t oy, uint64_t tapY) {
          for (uint64_t tapX = 0; tapX < s.kernel[1]; ++tapX) {
            const uint64_t tap = (plane * s.kernel[0] + tapY) * s.kernel[1] + tapX;
            addRow(context.f32(dpatches) + (tap * s.out[0] + oy) * s.out[1], tapX, target);
          }
        });
      }
    });
  }

  void addRow(const float* source, uint64_t tapX, float* target) const {
    const PatchShape::Range range = shape.inside(tapX);
    if (range.first == range.last) return;
    float* to = target + shape.inputAt(1, range.first, tapX);
    source += range.first;
    const uint64_t count = range.last - range.first;
    if (shape.stride[1] == 1) return moveRow(source, to, count, true);
    for (uint64_t i = 0; i < count; ++i) to[i * shape.stride[1]] += source[i];
  }

  // Channels last: sums the channels of each image, height and width.
  void scatterLast(Context& context) const {
    const PatchShape& s = shape;
    const uint64_t each = s.channels / s.groups;
    const uint64_t positions = s.patches() / (uint64_t{s.channels} * s.kernel[0] * s.kernel[1]);
    const uint64_t work = uint64_t{s.kernel[0]} * s.kernel[1] * s.channels;
    context.team.parallelRange(s.inputs() / s.channels, copyGrain(work), [&](uint64_t input, uint64_t last) {
      for (; input < last; ++input) {
        const uint64_t ix = input % s.in[1], iy = input / s.in[1] % s.in[0], image = input / s.in[1] / s.in[0];
        float* target = context.f32(dx) + input * s.channels;
        if (accumulate == 0) memset(target, 0, s.channels * sizeof(float));
        s.eachReader(0, iy, [&](uint64_t oy, uint64_t tapY) {
          s.eachReader(1, ix, [&](uint64_t ox, uint64_t tapX) {
            for (uint64_t group = 0; group < s.groups; ++group) {
              const uint64_t position = group * positions + (image * s.out[0] + oy) * s.out[1] + ox;
              const uint64_t tap = (position * s.kernel[0] + tapY) * s.kernel[1] + tapX;
              moveRow(context.f32(dpatches) + tap * each, target + group * each, each, true);
            }
          });
        });
      }
    });
  }
};
TRAINING_KERNEL(PatchesBackward)
