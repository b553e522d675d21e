// Passages in a folder of LanceDB.
import { type Connection, connect, type Table } from '@lancedb/lancedb';
import type { Found, StoredPassage, VectorStore } from './store.js';

const TABLE = 'passage';

export class LanceStore implements VectorStore {
  private constructor(
    private readonly connection: Connection,
    private table: Table | null,
  ) {}

  static async open(folder: string): Promise<LanceStore> {
    const connection = await connect(folder);
    const isNew = !(await connection.tableNames()).includes(TABLE);
    return new LanceStore(connection, isNew ? null : await connection.openTable(TABLE));
  }

  async hashes(): Promise<Map<string, string>> {
    const rows = (await this.table?.query().select(['path', 'hash']).toArray()) ?? [];
    return new Map(rows.map(({ path, hash }) => [path, hash]));
  }

  async put(path: string, hash: string, passages: readonly StoredPassage[]): Promise<void> {
    await this.table?.delete(`path = '${path.replaceAll("'", "''")}'`);
    if (passages.length === 0) return;
    const rows = passages.map(({ vector, ...passage }) => ({ ...passage, hash, vector: Array.from(vector) }));
    if (this.table) await this.table.add(rows);
    else this.table = await this.connection.createTable(TABLE, rows);
  }

  async search(vector: Float32Array, count: number): Promise<Found[]> {
    const search = this.table?.vectorSearch(vector).distanceType('cosine').limit(count);
    const rows = (await search?.toArray()) ?? [];
    return rows.map(({ path, firstLine, lastLine, text, _distance }) => ({
      path,
      firstLine,
      lastLine,
      text,
      score: 1 - _distance,
    }));
  }

  close(): void {
    this.connection.close();
  }
}
