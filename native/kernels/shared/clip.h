// The factor that clips gradients, for optimizers.
#pragma once

// The factor of gradients: 1 if absent, NaN if the run has failed before, so that a bad batch does not reach the
// parameters. Call it in a chunk.
inline float clipOf(const Context& context, Span factor) {
  if (context.failed()) return NAN;
  return factor.present() ? *context.f32(factor) : 1.f;
}

// True if the step must be skipped, because the run has failed or the norm of the gradients was not finite (see
// ClipFactor).
inline bool leavesOut(float clip) { return !std::isfinite(clip); }
