/** A list of names and values, side by side. */
export function Facts({ class: name, facts }: { class: string; facts: readonly (readonly [string, string])[] }) {
  return (
    <dl class={name}>
      {facts.map(([fact, value]) => (
        <div key={fact}>
          <dt>{fact}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
