// Makes a release: builds, packs and checks everything that goes to the registry.
//
//   npm run release -- --dry-run                                   everything but the upload
//   npm run release -- --dry-run --platforms linux-x64-gnu         with the addons of some platforms
//   npm run release                                                with the upload; in the workflow release.yml only
//
// The packages are left in build/release, with their digests and the list of all dependencies (SBOM).
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { checkApi } from './release/api.mjs';
import { checkReproducible, checkTarballs, packAll, writeSbom } from './release/pack.mjs';
import { checkExports, smokePlatforms, smokeReadme } from './release/smoke.mjs';
import { run } from './release/tools.mjs';
import { checkWorkflows } from './release/workflows.mjs';

const PLATFORMS = JSON.parse(readFileSync('package.json', 'utf8')).napi.targets.map(platformOf);

/** Name of a platform's package, as @napi-rs/cli makes it of a compiler's target. */
function platformOf(target) {
  const [cpu, , system, library] = target.split('-');
  const arch = { x86_64: 'x64', aarch64: 'arm64' }[cpu];
  return system === 'darwin' ? `darwin-${arch}` : `${system === 'windows' ? 'win32' : system}-${arch}-${library}`;
}

function fail(message) {
  console.error(`release: ${message}`);
  process.exit(1);
}

/** The version must be described in CHANGELOG.md, and nothing may wait to be. */
function checkChangelog() {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  if (!readFileSync('CHANGELOG.md', 'utf8').includes(`\n## ${version}\n`))
    throw new Error(`CHANGELOG.md has no section ${version}: run npx changeset version`);
  console.log(version);
}

/** The packages of platforms go first: the main one names them. The registry trusts the workflow, so no token is stored. */
function publish({ main, addons, others }) {
  for (const path of [...addons.values(), ...others, main])
    run('npm', ['publish', path, '--provenance', '--access', 'public'], { stdio: 'inherit' });
}

const options = { 'dry-run': { type: 'boolean' }, platforms: { type: 'string' } };
const { values } = (() => {
  try {
    return parseArgs({ options });
  } catch ({ message }) {
    return fail(message);
  }
})();
const isDry = values['dry-run'] === true;
if (!isDry && process.env.GITHUB_ACTIONS !== 'true') fail('only the workflow release.yml publishes: give --dry-run');
const platforms = values.platforms?.split(',') ?? PLATFORMS;
const unknown = platforms.find((name) => !PLATFORMS.includes(name));
if (unknown !== undefined) fail(`there is no platform '${unknown}': expected some of ${PLATFORMS.join(', ')}`);
if (!isDry && platforms.length < PLATFORMS.length) fail('a release has the addons of all platforms');

let tarballs;
const steps = {
  'version and changelog': checkChangelog,
  'public interface': () => checkApi(),
  workflows: checkWorkflows,
  packages: () => (tarballs = packAll(platforms)),
  'sizes and scripts': () => checkTarballs(tarballs),
  'exports and types': () => checkExports(tarballs),
  'dependencies and licences': writeSbom,
  platforms: () => smokePlatforms(tarballs),
  "the README's programs": () => smokeReadme(tarballs),
  'a second build': () => checkReproducible(tarballs),
  ...(!isDry && { publish: () => publish(tarballs) }),
};
for (const [name, step] of Object.entries(steps)) {
  console.log(`\n== ${name}`);
  try {
    await step();
  } catch (error) {
    fail(`${name}: ${error.message}`);
  }
}
console.log('\nThe packages are in build/release.');
