// Examples to begin with: what was said of a person, as a record. The same seed gives the same ones.

export interface Example {
  readonly prompt: string;
  readonly answer: string;
}

const names = ['Ada', 'Ben', 'Chloe', 'David', 'Elena', 'Felix', 'Grace', 'Hugo', 'Iris', 'Jonas', 'Karin', 'Liam'];
const families = ['Berger', 'Costa', 'Dubois', 'Evans', 'Fischer', 'Garcia', 'Hansen', 'Ito', 'Jansen', 'Keller'];
const cities = ['Berlin', 'Boston', 'Cairo', 'Delhi', 'Dublin', 'Lima', 'London', 'Madrid', 'Oslo', 'Paris', 'Rome'];
const phrases = [
  (name: string, age: number, city: string) => `${name} is ${age} and lives in ${city}.`,
  (name: string, age: number, city: string) => `Born ${age} years ago, ${name} now works in ${city}.`,
  (name: string, age: number, city: string) => `In ${city} we met ${name}, aged ${age}.`,
  (name: string, age: number, city: string) => `${name} (${age}) moved to ${city} last year.`,
];

/** Returns `count` distinct examples. The seed decides their order. */
export function people(count: number, seed = 1): Example[] {
  let state = seed;
  const draw = <T>(from: readonly T[]): T => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return from[Math.floor((state / 2 ** 32) * from.length)] as T;
  };
  const ages = Array.from({ length: 72 }, (_, i) => i + 18);
  const all = new Map<string, Example>();
  while (all.size < count) {
    const [name, age, city] = [`${draw(names)} ${draw(families)}`, draw(ages), draw(cities)];
    const prompt = draw(phrases)(name, age, city);
    all.set(prompt, { prompt, answer: `name=${name}; age=${age}; city=${city}` });
  }
  return [...all.values()];
}
