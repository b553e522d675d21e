// The factor that clips gradients, as optimisers take it.
#pragma once

// What gradients are multiplied by: 1 if there is no factor.
inline float clipOf(const Context& context, Span factor) { return factor.present() ? *context.f32(factor) : 1.f; }

// Whether the step is to be left out, as the norm of the gradients was not finite (see ClipFactor).
inline bool leavesOut(float clip) { return !std::isfinite(clip); }
