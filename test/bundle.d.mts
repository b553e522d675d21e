/** Bundles the programs that tests start into build/tests. */
export default function setup(): Promise<void>;
