// Makes wasi:http components with the packages of package.json. Errors go to stderr, and the status is 1.
//   node build.mjs js SOURCE OUT     of a JavaScript module, with the world "main" of a .wit file of its name, else of wit
//   node build.mjs wrap WIT CORE OUT of a core module, with the world "main" of a WIT file
//   node build.mjs wit OUT           writes a folder with the world "main": wasi:http/proxy and the settings' environment
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

// The version of the WASI packages that jco brings, and the one that componentize-js 0.23 is made for, which all get: their
// declarations are the same.
const builtin = '0.2.12';
const engine = '0.2.10';

// packages are pairs of a name and WIT.
async function packages() {
  const folder = fileURLToPath(new URL(`../lib/wit/builtin/${builtin}/`, import.meta.resolve('@bytecodealliance/jco')));
  const names = await readdir(folder);
  return Promise.all(names.map(async (name) => {
    const text = await readFile(join(folder, name, 'package.wit'), 'utf8');
    return [name, text.replaceAll(`@${builtin}`, `@${engine}`)];
  }));
}

const proxy = `package sett:function;

world main {
  include wasi:http/proxy@${engine};
  import wasi:cli/environment@${engine};
}
`;

async function wit(folder, world = proxy) {
  await mkdir(join(folder, 'deps'), { recursive: true });
  await writeFile(join(folder, 'main.wit'), world);
  for (const [name, text] of await packages()) await writeFile(join(folder, 'deps', `${name}.wit`), text);
}

// check tells where a source is faulty, which componentize-js does not.
async function check(source) {
  const { default: parser } = await import('oxc-parser');
  const text = await readFile(source, 'utf8');
  const faults = parser.parseSync(source, text, { sourceType: 'module' }).errors.map(({ message, labels: [at] }) => {
    const before = text.slice(0, at?.start ?? 0).split('\n');
    return `${source}:${before.length}:${before.at(-1).length + 1}: ${message}`;
  });
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

async function js(source, out) {
  await check(source);
  const { componentize } = await import('@bytecodealliance/componentize-js');
  const folder = await mkdtemp(join(tmpdir(), 'sett-wit-'));
  try {
    const world = source.replace(/\.js$/, '.wit');
    await wit(folder, existsSync(world) ? await readFile(world, 'utf8') : proxy);
    const { component } = await componentize({ sourcePath: resolve(source), witPath: folder, worldName: 'main' });
    await writeFile(out, component);
  } finally {
    await rm(folder, { recursive: true });
  }
}

// wrap hands the world to the embedder as one text: it cannot read folders.
async function wrap(world, core, out) {
  const { componentEmbed, componentNew } = await import('@bytecodealliance/jco');
  let witSource = await readFile(world, 'utf8');
  for (const [, text] of await packages()) {
    witSource += text.replace(/^package (.*);$/m, '\npackage $1 {') + '\n}\n';
  }
  const embedded = await componentEmbed({ binary: await readFile(core), witSource, world: 'main' });
  await writeFile(out, await componentNew(embedded, []));
}

const [what, ...args] = process.argv.slice(2);
try {
  if (parseInt(process.versions.node) < 20) throw new Error(`Node.js ${process.versions.node} is too old; install version 20 or later from https://nodejs.org`);
  await { js, wrap, wit }[what](...args);
} catch (error) {
  console.error(error?.message ?? error);
  process.exitCode = 1;
}
