// The clip factor of gradients, as optimizers use it.
#pragma once

// Returns the clip factor: 1 if absent, NaN if a command of this run has failed, so that invalid data does not reach
// the parameters. Call it in a chunk.
inline float clipOf(const Context& context, Span factor) {
  if (context.failed()) return NAN;
  return factor.present() ? *context.f32(factor) : 1.f;
}

// True if the step must be skipped, because the run has failed or the norm of the gradients is not finite (see
// ClipFactor).
inline bool skipsStep(float clip) { return !std::isfinite(clip); }
