export type { AttentionMaps, AttentionsByKind, ObservedAttention } from './attention-maps.js';
export { computedAttention } from './computed-attention.js';
export type { Countable } from './cost.js';
export { type ModelCost, modelCost } from './cost.js';
export { type HeadStatistics, headStatistics } from './heads.js';
export { type HeatMapOptions, renderHeatMap } from './heat-map.js';
export { type OpProfile, profile, renderProfile } from './profile.js';
export { type SampledAttention, sampledAttention } from './sampled-attention.js';
export { type AttentionMap, type Curve, curvesSvg, heatMapGridSvg } from './svg.js';
export { trace } from './trace.js';
export type {
  AttentionTrace,
  EmbeddingTrace,
  FeedForwardTrace,
  LayerTrace,
  NormTrace,
  StackTrace,
  SubLayerTrace,
  Trace,
  Traceable,
  Values,
} from './trace-types.js';
export { type HeadId, withoutHeads } from './without-heads.js';
