import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { loadModel, openDevice, printJson, visible } from '../common.js';
import { encode, encodeInput, tokenizersOf } from '../encoding.js';
import { example } from '../help.js';
import { exiting } from '../stopping.js';

export function scoreCommand(): Command {
  return new Command('score')
    .description('print the log-probability of each token of an output')
    .argument('<model>', 'folder or name of a model that was trained here')
    .argument('<texts...>', 'source and target; for a decoder-only model, one text')
    .option('--json', 'print JSON')
    .addHelpText('after', example("score g2p-en hello 'HH AH L OW'"))
    .action(async (name: string, texts: string[], options: { json?: boolean }, command: Command) => {
      using device = await openDevice(command);
      using _exiting = exiting();
      const model = await loadModel(device, name);
      const { target } = tokenizersOf(model);
      const expected = model.config.encoderLayers > 0 ? 2 : 1;
      if (texts.length !== expected) {
        command.error(
          `error: this model scores ${expected === 2 ? 'a source and a target' : 'one text'}, but ${texts.length} were given`,
        );
      }
      const { bosId, eosId } = target;
      const tokens = encode(target, texts.at(-1) as string);
      const ids = [bosId, ...tokens, eosId].filter((id) => id !== undefined);
      if (ids.length < 2)
        throw new ArgumentError(`the text has ${ids.length} tokens, expected at least two: give a longer text`);
      const sources = expected === 2 ? [encodeInput(model, texts[0] as string)] : null;
      const { logProbabilities, scores } = await model.score(sources, [ids]);
      const tokenScores = (logProbabilities[0] as number[]).map((logProbability, i) => ({
        token: target.idToToken(ids[i + 1] as number) as string,
        logProbability,
      }));
      const total = scores[0] as number;
      if (options.json) return printJson({ total, tokens: tokenScores });
      for (const { token, logProbability } of tokenScores)
        console.log(`${logProbability.toFixed(6).padStart(12)}  ${visible(token)}`);
      console.log(
        `${total.toFixed(6).padStart(12)}  in all, ${Math.exp(-total / tokenScores.length).toFixed(3)} perplexity`,
      );
    });
}
