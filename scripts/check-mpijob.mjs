// Checks the MPIJob of docs/many-machines.md against the schema of the MPI operator, unknown fields included:
//
//   curl -LO https://raw.githubusercontent.com/kubeflow/mpi-operator/master/manifests/base/kubeflow.org_mpijobs.yaml
//   node scripts/check-mpijob.mjs kubeflow.org_mpijobs.yaml
//
// Needs python3 with PyYAML.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';

const parse = (text) =>
  JSON.parse(
    execFileSync(
      'python3',
      ['-c', 'import sys, json, yaml; print(json.dumps(yaml.safe_load(sys.stdin), default=str))'],
      {
        input: text,
        maxBuffer: 1 << 28,
      },
    ),
  );

/** Makes unknown fields errors in the schema. A cluster would drop them silently. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const own = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isOpen = own['x-kubernetes-preserve-unknown-fields'] || own.additionalProperties !== undefined;
  return own.type === 'object' && own.properties && !isOpen ? { ...own, additionalProperties: false } : own;
}

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('give the path of kubeflow.org_mpijobs.yaml');
const [, text] = /```yaml\n(apiVersion: kubeflow[\s\S]*?)```/.exec(readFileSync('docs/many-machines.md', 'utf8'));
const job = parse(text);
const version = parse(readFileSync(path, 'utf8')).spec.versions.find(
  ({ name }) => `kubeflow.org/${name}` === job.apiVersion,
);
const schema = closed(version.schema.openAPIV3Schema);
schema.properties.metadata = { type: 'object', required: ['name'] };
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
if (validate(job)) console.log(`the MPIJob of docs/many-machines.md is one of ${job.apiVersion}`);
else {
  for (const { instancePath, message, params } of validate.errors) console.error(instancePath, message, params);
  process.exitCode = 1;
}
