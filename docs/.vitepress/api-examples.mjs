// A plugin of TypeDoc. The page of an export shows its example (docs/examples) and its source file. The page of a type that
// the code derives from a table shows its members.
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';
import { apiExamples, exampleOf } from '../../scripts/api-examples.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const documented = ReflectionKind.Class | ReflectionKind.Function | ReflectionKind.Variable | ReflectionKind.Interface;

export function load({ converter }) {
  const examples = apiExamples();
  // A type such as `keyof typeof table` is shown as the union of its members.
  converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.TypeAlias)) return;
    const [declaration] = context.getSymbolFromReflection(reflection)?.getDeclarations() ?? [];
    if (!declaration?.type?.getText().includes('typeof ')) return;
    reflection.comment ??= new Comment();
    reflection.comment.modifierTags.add('@useDeclaredType');
  });
  converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    for (const reflection of context.project.getReflectionsByKind(documented)) {
      if (!reflection.parent?.kindOf(ReflectionKind.Module)) continue;
      // A function's comment belongs to its signatures. The first one shows the example.
      const owner = reflection.signatures?.[0] ?? reflection;
      owner.comment ??= new Comment();
      const show = (tag, text) => owner.comment.blockTags.push(new CommentTag(tag, [{ kind: 'code', text }]));
      const example = exampleOf(examples, reflection.parent.name, reflection.name);
      if (example) show('@example', `\`\`\`ts\n${example.code}\`\`\``);
      const [declaration] = context.getSymbolFromReflection(reflection)?.getDeclarations() ?? [];
      if (declaration) show('@source', `\`${relative(root, declaration.getSourceFile().fileName)}\``);
    }
  });
}
