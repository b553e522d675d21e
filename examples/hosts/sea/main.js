import { embed } from './embed.js';

embed(process.argv.slice(2).join(' ')).then(
  (answer) => {
    console.log(JSON.stringify(answer));
    process.exit();
  },
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
