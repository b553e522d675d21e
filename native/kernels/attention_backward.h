// The gradients of attention: the division into tasks, and the sums of their parts. attention_gradient.h describes the
// operands and computes one head of a task.
#pragma once
#include "kernels/shared/attention_gradient.h"
#include "kernels/shared/blocks.h"

struct AttentionBackward {
  static constexpr const char* name = "attentionBackward";
  static constexpr const char* signature = ATTENTION_INPUTS
      "in:y in:stats in:dy in?:relativeWeights in?:drelativeWeights inout?:dq inout?:dk inout?:dv inout?:dbias "
      "inout?:drelativeBias inout?:drelativeScores inout?:partials inout?:relativePartials "
      "u32:gradientStrides{y,dy,dq,dk,dv} u32:tasks{items,keys} u32:accumulate u32:dropping{seed,stream,threshold} "
      "f32:keptScale";
  attention::GradientOperands of;

  const char* check() const { return of.check(); }

  void run(Context& context) const { differentiate(context, false); }

 protected:
  void differentiate(Context& context, bool inBfloat16) const {
    of.in.computeOffsets(context);
    if (of.dbias.present()) clearBias(context);
    const uint32_t count = of.groups() * headGroups() * of.chunks();
    context.team.parallel(count, [&](uint32_t number) {
      const attention::Session session(inBfloat16);
      const Task task = taskOf(number);
      if (of.drelativeBias.present()) return differentiateByHead(context, task, inBfloat16);
      differentiateByItem(context, task, taskAfter(number, context.team.after(number, count)), inBfloat16);
    });
    if (of.dq.present() && of.chunks() > 1) addPartials(context);
    if (of.drelativeBias.present()) addRelativePartials(context);
  }

 private:
  struct Task {
    uint64_t firstItem, endItem;
    uint32_t firstHead, endHead, group, chunk;
  };

  uint32_t headGroups() const { return of.headsTogether() ? 1 : of.in.sizes.kvHeads; }

  // The largest tasks come first: in causal attention, most queries see the first keys.
  Task taskOf(uint32_t number) const {
    const uint32_t groups = headGroups(), heads = of.in.sizes.heads / groups, firstHead = number % groups * heads;
    const uint32_t group = number / groups / of.chunks();
    const uint64_t firstItem = uint64_t{group} * of.items(), room = of.in.sizes.batch - firstItem;
    return {.firstItem = firstItem,
            .endItem = firstItem + (of.items() < room ? of.items() : room),
            .firstHead = firstHead,
            .endHead = firstHead + heads,
            .group = group,
            .chunk = number / groups % of.chunks()};
  }

  // The item and head of this thread's probable next task, if known.
  struct Next {
    bool known;
    uint32_t item, firstHead;
  };
  Next taskAfter(uint32_t number, uint32_t after) const {
    const bool known = of.items() == 1 && of.chunks() == 1 && after != number;
    return {known, after / headGroups(), after % headGroups() * (of.in.sizes.heads / headGroups())};
  }

  // Processes item by item, each with all heads. The probable next data is prefetched meanwhile: the same head of the
  // next item, or of the next task's item.
  void differentiateByItem(const Context& context, const Task& task, const Next& after, bool inBfloat16) const {
    for (uint64_t b = task.firstItem; b < task.endItem; ++b) {
      const bool more = b + 1 < task.endItem;
      const Next next = more ? Next{true, static_cast<uint32_t>(b + 1), task.firstHead} : after;
      const attention::Item item = of.in.item(context, next.known ? next.item : static_cast<uint32_t>(b));
      for (uint32_t h = task.firstHead; h < task.endHead; ++h) {
        attention::HeadGradient gradient(of, context, h, task.chunk, inBfloat16);
        if (next.known) gradient.planFetches(item, next.firstHead + h - task.firstHead);
        gradient.differentiate(static_cast<uint32_t>(b));
      }
    }
  }

  // Processes head by head, because each head sums the gradient of its relative biases over all items.
  void differentiateByHead(const Context& context, const Task& task, bool inBfloat16) const {
    for (uint32_t h = task.firstHead; h < task.endHead; ++h) {
      attention::HeadGradient gradient(of, context, h, task.chunk, inBfloat16);
      for (uint64_t b = task.firstItem; b < task.endItem; ++b) gradient.differentiate(static_cast<uint32_t>(b));
      gradient.unloadTable(context.f32(of.relativePartials) +
                           ((uint64_t{task.group} * of.chunks() + task.chunk) * of.in.sizes.heads + h) *
                               of.in.sizes.distances);
    }
  }

  void clearBias(Context& context) const {
    float* to = context.f32(of.dbias);
    const uint64_t size = of.adds(attention::kDbias) ? 0 : of.dbias.length;
    context.team.parallelRange(
        size, 16384, [&](uint64_t first, uint64_t last) { memset(to + first, 0, (last - first) * sizeof(float)); });
  }

  // Adds the parts of dq of all chunks of keys.
  void addPartials(Context& context) const {
    const uint64_t width = uint64_t{of.in.sizes.heads} * of.in.sizes.width, rows = of.in.totalQ();
    const uint32_t chunks = of.chunks();
    context.team.parallelRange(rows, copyGrain(width * chunks), [&](uint64_t first, uint64_t last) {
      for (uint64_t r = first; r < last; ++r) {
        float* to = context.f32(of.dq) + r * of.strides.dq;
        const float* from = context.f32(of.partials) + r * width;
        eachVector(width, [&](size_t c, size_t lanes) {
          Vf sum = of.adds(attention::kDq) ? loadLanes(to + c, lanes) : Vf{};
          for (uint32_t chunk = 0; chunk < chunks; ++chunk) sum += loadLanes(from + chunk * rows * width + c, lanes);
          storeLanes(to + c, sum, lanes);
        });
      }
    });
  }

  // Adds the parts of drelativeBias of all tasks.
  void addRelativePartials(Context& context) const {
    const size_t size = size_t{of.in.sizes.heads} * of.in.sizes.distances;
    const uint64_t parts = uint64_t{of.groups()} * of.chunks();
    context.team.parallelRange(size, copyGrain(parts), [&](uint64_t first, uint64_t last) {
      float* to = context.f32(of.drelativeBias);
      const float* from = context.f32(of.relativePartials);
      for (uint64_t t = first; t < last; ++t) {
        float sum = of.adds(attention::kDrelativeBias) ? to[t] : 0.f;
        for (uint64_t part = 0; part < parts; ++part) sum += from[part * size + t];
        to[t] = sum;
      }
    });
  }
};
TRAINING_KERNEL(AttentionBackward)

// Gradients with the factors of all products rounded to bfloat16: see shared/bfloat16.h.
struct AttentionBackwardBfloat16 : AttentionBackward {
  static constexpr const char* name = "attentionBackwardBfloat16";
  void run(Context& context) const { differentiate(context, true); }
};
BFLOAT16_KERNEL(AttentionBackwardBfloat16)
CONSTANT("attentionBackward.blockKeys", attention::HeadGradient::kBlockKeys)
