// The works in Bun: bun bun.mjs HOST PORT FILE PROCESSES, with its SQLite's state in a file. More processes share the port.
import { Database } from 'bun:sqlite';
import { answer } from './works.mjs';

const [hostname, port, file, processes] = process.argv.slice(2);
const db = new Database(file, { create: true });
db.run('PRAGMA busy_timeout = 5000');
db.run('PRAGMA journal_mode = WAL');
db.run('PRAGMA synchronous = FULL');
db.run('CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID');
const get = db.query('SELECT value FROM kv WHERE key = ?');
const put = db.query('INSERT INTO kv VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2');

const platform = {
  digest: (bytes) => new Bun.CryptoHasher('sha256').update(bytes).digest('hex'),
  store: { get: (key) => get.get(key)?.value, put: (key, value) => put.run(key, value) },
};

for (let i = 1; i < processes; i++) Bun.spawn([process.execPath, import.meta.path, hostname, port, file, '1']);
Bun.serve({ hostname, port, reusePort: true, fetch: (request) => answer(request, platform) });
