import { Facts } from '../../draw/facts.js';
import type { Model } from '../../model.js';

/** Facts about a model, as a list. */
export function ModelCard({ model }: { model: Model }) {
  const { config } = model.transformer;
  const parameters = model.transformer.parameters().reduce((sum, { size }) => sum + size, 0);
  const facts: [string, string][] = [
    ['Name', model.name],
    ['Parameters', parameters.toLocaleString('en')],
    ['Layers', `${config.encoderLayers} encoder, ${config.decoderLayers} decoder`],
    ['Width', `${config.dModel}, in ${config.heads} heads of ${config.dModel / config.heads}`],
    ['Feed-forward', `${config.dFF}, ${config.activation}${config.gated ? ', gated' : ''}`],
    [
      'Norm',
      `${config.normalization === 'rms' ? 'RMS' : 'layer'}, ${config.norm === 'pre' ? 'before' : 'after'} each sub-layer`,
    ],
    ['Positions', config.positions.kind],
    ['Vocabulary', `${config.sourceVocab} in, ${config.targetVocab} out`],
    ['Longest sequence', `${config.maxLength} tokens`],
  ];
  return <Facts class="model-card" facts={facts} />;
}
