// The guides in their order of reading. `scripts/docs.mjs` checks that every page is in the list, and makes llms.txt from it.

/** Files of the repository that the site shows as pages below /site/, and what they are called there. */
export const included = {
  'ARCHITECTURE.md': 'architecture',
  'CONTRIBUTING.md': 'contributing',
  'bench/results/README.md': 'benchmarks',
  'CHANGELOG.md': 'changelog',
};

const page = (text, link) => ({ text, link });

export const guides = [
  {
    text: 'First steps',
    items: [
      page('Install', '/install'),
      page('In the browser', '/browser'),
      page('The command line', '/command-line'),
      page('Choosing a model', '/choosing-models'),
      page('Coming from another library', '/migration'),
      page('Configuration', '/configuration'),
    ],
  },
  {
    text: 'Use models',
    items: [
      page('Pipelines', '/pipelines'),
      page('Retrieval', '/retrieval'),
      page('Speech', '/speech'),
      page('Images', '/images'),
      page('Translation', '/translation'),
      page('Conversations', '/chat'),
      page('Generation', '/generation'),
      page('Response formats', '/response-formats'),
    ],
  },
  {
    text: 'In other programs',
    items: [
      page('The server', '/server'),
      page("The server's API", '/server-api'),
      page('Frameworks', '/frameworks'),
      page('Hosts', '/hosts'),
      page('Many machines', '/many-machines'),
    ],
  },
  {
    text: 'Checkpoints',
    items: [
      page('Model families', '/families'),
      page('Checkpoints', '/models'),
      page('GGUF', '/gguf'),
      page('Packed weights', '/packed-weights'),
      page('Packed weights, measured', '/packed-measured'),
    ],
  },
  {
    text: 'Train',
    items: [
      page('The story of the paper', '/story'),
      page('Training', '/training'),
      page('Fine-tuning', '/fine-tuning'),
      page('Your own model', '/own-models'),
      page('Results', '/results'),
    ],
  },
  {
    text: 'Behind it',
    items: [
      page('Speed', '/speed'),
      page('Performance', '/performance'),
      page('The engine', '/engine'),
      page('Reproducible results', '/reproducible-results'),
      page('Security', '/security'),
      page('Benchmarks', '/site/benchmarks'),
      page('Architecture', '/site/architecture'),
      page('Contributing', '/site/contributing'),
      page('Changelog', '/site/changelog'),
    ],
  },
];
