// The factor that clips gradients, as optimisers take it.
#pragma once

// What gradients are multiplied by: 1 if there is no factor, NaN if the run has failed before, so that what went wrong
// in a batch does not reach the parameters. To be called in a chunk.
inline float clipOf(const Context& context, Span factor) {
  if (context.failed()) return NAN;
  return factor.present() ? *context.f32(factor) : 1.f;
}

// Whether the step is to be left out, as the run has failed or the norm of the gradients was not finite (see
// ClipFactor).
inline bool leavesOut(float clip) { return !std::isfinite(clip); }
