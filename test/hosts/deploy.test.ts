// examples/deploy: the manifests against Kubernetes' schemas, and what they say of the server.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const home = resolve('.cache/hosts/kubernetes');
const folder = 'examples/deploy/kubernetes';
const tsc = 'node_modules/typescript/bin/tsc';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  // biome-ignore lint/suspicious/noExplicitAny: kubernetes-models describes the fields.
  readonly spec: any;
}

let manifests: readonly Manifest[];
const ofKind = (kind: string) => manifests.find((manifest) => manifest.kind === kind) as Manifest;
const container = () => ofKind('Deployment').spec.template.spec.containers[0];

beforeAll(async () => {
  mkdirSync(home, { recursive: true });
  const dependencies = { 'kubernetes-models': '5.1.0', yaml: '^2.8.3' };
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, dependencies }));
  if (!existsSync(join(home, 'node_modules/kubernetes-models')))
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: home });
  const { parseAllDocuments } = createRequire(join(home, 'package.json'))('yaml');
  manifests = readdirSync(folder).flatMap((name) =>
    // biome-ignore lint/suspicious/noExplicitAny: the package is not among the dependencies.
    parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map((document: any) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    }),
  );
});

/** The module of kubernetes-models that has the kinds of an API version. */
const moduleOf = (apiVersion: string) => `kubernetes-models/${apiVersion}`;

describe('the manifests', () => {
  it('satisfy the published schemas', async () => {
    const kinds = (apiVersion: string) => import(join(home, 'node_modules/kubernetes-models', apiVersion, 'index.js'));
    for (const manifest of manifests) {
      const { [manifest.kind]: Kind } = await kinds(manifest.apiVersion);
      new Kind(manifest).validate();
    }
    const { Deployment } = await kinds('apps/v1');
    expect(() => new Deployment({ metadata: { name: 'a' }, spec: { replicas: 'two' } }).validate()).toThrow(/replicas/);
  });

  it('have no unknown fields', async () => {
    // The schemas allow unknown fields, and the types of the same package do not.
    const lines = manifests.map((manifest, i) => {
      const { kind, apiVersion } = manifest;
      const type = `import('${moduleOf(apiVersion)}').I${kind}`;
      return `export const manifest${i}: ${type} = ${JSON.stringify(manifest)};`;
    });
    const misspelled = "{ apiVersion: 'v1', kind: 'Service', spec: { port: [] } }";
    lines.push('// @ts-expect-error', `export const wrong: import('${moduleOf('v1')}').IService = ${misspelled};`);
    writeFileSync(join(home, 'manifests.ts'), `${lines.join('\n')}\n`);
    const compilerOptions = { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', types: [] };
    writeFileSync(join(home, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['manifests.ts'] }));
    const { stdout, stderr } = await run(process.execPath, [tsc, '-p', home]).catch((error) => error);
    expect(stdout + stderr).toBe('');
  });

  it('give the server the time to drain', () => {
    const { terminationGracePeriodSeconds } = ofKind('Deployment').spec.template.spec;
    const { args, lifecycle } = container();
    const drain = Number(args[args.indexOf('--drain') + 1]);
    expect(terminationGracePeriodSeconds).toBeGreaterThan(lifecycle.preStop.sleep.seconds + drain);
  });

  it('run without privileges, on a read-only file system', () => {
    const { securityContext } = ofKind('Deployment').spec.template.spec;
    expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65532 });
    expect(container().securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
    });
    expect(readFileSync('examples/deploy/Dockerfile', 'utf8')).toMatch(/^USER 65532:65532$/m);
  });

  it('name a metric and options that the server has', async () => {
    const [{ pods }] = ofKind('HorizontalPodAutoscaler').spec.metrics;
    expect(readFileSync('src/server/metrics.ts', 'utf8')).toContain(`'${pods.metric.name}'`);
    const { serveCommand } = await import('../../src/cli/commands/serve.js');
    const known = serveCommand().options.map(({ long }) => long);
    const { args } = container();
    const flags = args.slice(args.indexOf('serve')).filter((arg: string) => arg.startsWith('--'));
    expect(flags.length).toBeGreaterThan(0);
    for (const flag of flags) expect(known).toContain(flag);
  });
});
