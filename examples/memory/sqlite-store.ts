// Passages in a file of SQLite, with the extension sqlite-vec. Both packages bring binaries: nothing is compiled.
import Database from 'libsql';
import { getLoadablePath } from 'sqlite-vec';
import type { Found, StoredPassage, VectorStore } from './store.js';

export class SqliteStore implements VectorStore {
  readonly #database: Database.Database;

  constructor(path: string, dimensions: number) {
    this.#database = new Database(path);
    this.#database.loadExtension(getLoadablePath());
    this.#database.exec(`
      pragma journal_mode = wal;
      create table if not exists passage (
        id integer primary key, path text, hash text, firstLine integer, lastLine integer, text text
      );
      create index if not exists passage_path on passage (path);
      create virtual table if not exists vector using vec0 (
        id integer primary key, embedding float[${dimensions}] distance_metric=cosine
      );
    `);
  }

  async hashes(): Promise<Map<string, string>> {
    const rows = this.#all<{ path: string; hash: string }>('select distinct path, hash from passage');
    return new Map(rows.map(({ path, hash }) => [path, hash]));
  }

  async put(path: string, hash: string, passages: readonly StoredPassage[]): Promise<void> {
    const replace = this.#database.transaction(() => {
      this.#run('delete from vector where id in (select id from passage where path = ?)', path);
      this.#run('delete from passage where path = ?', path);
      for (const { firstLine, lastLine, text, vector } of passages) {
        const insert =
          'insert into passage (path, hash, firstLine, lastLine, text) values (?, ?, ?, ?, ?) returning id';
        const [row] = this.#all<{ id: number }>(insert, path, hash, firstLine, lastLine, text);
        // sqlite-vec takes keys as integers only, and the driver passes numbers as floats.
        this.#run('insert into vector (id, embedding) values (?, ?)', BigInt(row!.id), bytesOf(vector));
      }
    });
    replace();
  }

  async search(vector: Float32Array, count: number): Promise<Found[]> {
    return this.#all<Found>(
      `select path, firstLine, lastLine, text, 1 - distance as score
       from (select id, distance from vector where embedding match ? and k = ?) join passage using (id)
       order by distance`,
      bytesOf(vector),
      count,
    );
  }

  close(): void {
    this.#database.close();
  }

  #all<Row>(sql: string, ...values: unknown[]): Row[] {
    return this.#database.prepare(sql).all(...values) as Row[];
  }

  #run(sql: string, ...values: unknown[]): void {
    this.#database.prepare(sql).run(...values);
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
