// The works in Node.js: node node.mjs HOST PORT [SOCKET]. With a socket, a Redis that is started beside it keeps the state;
// with more than one processor, as many workers share the port.
import { spawn } from 'node:child_process';
import cluster from 'node:cluster';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { count, hello, inspect } from './works.mjs';

const [host, port, socket] = process.argv.slice(2);
if (cluster.isPrimary && socket) {
  spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--dir', dirname(socket), '--save', '', '--appendonly', 'yes', '--appendfsync', 'always']);
}
if (cluster.isPrimary && availableParallelism() > 1) {
  for (let i = 0; i < availableParallelism(); i++) cluster.fork();
} else {
  const store = socket && (await redis(socket));
  createServer((request, response) => handle(store, request, response)).listen(port, host);
}

function handle(store, request, response) {
  switch (request.url) {
    case '/hello':
      return response.end(hello);
    case '/json':
      response.setHeader('content-type', 'application/json');
      return response.end(inspect(request.method, (name) => request.headers[name]));
    case '/sha256': {
      const hash = createHash('sha256');
      request.on('data', (piece) => hash.update(piece));
      return request.on('end', () => response.end(hash.digest('hex')));
    }
  }
  count(store, request.url).then((n) => response.end(n), (error) => response.writeHead(500).end(String(error)));
}

// redis is a store in the Redis at a socket, once that accepts: commands are sent as they come, replies come in their order.
async function redis(path) {
  const connection = await dial(path);
  const waiting = []; // for replies
  let rest = '';
  connection.setEncoding('latin1').on('data', (text) => {
    rest += text;
    for (let end; (end = rest.indexOf('\r\n')) >= 0; ) {
      const line = rest.slice(0, end);
      const length = line[0] === '$' && line !== '$-1' ? Number(line.slice(1)) : -1;
      if (length < 0) { // "+OK", "-ERR ..." or nothing
        rest = rest.slice(end + 2);
        waiting.shift()[line[0] === '-' ? 1 : 0](undefined);
      } else if (rest.length >= end + 2 + length + 2) {
        const value = rest.slice(end + 2, end + 2 + length);
        rest = rest.slice(end + 2 + length + 2);
        waiting.shift()[0](value);
      } else {
        return; // the rest of the value is still to come
      }
    }
  });
  const send = (...words) => new Promise((...done) => {
    waiting.push(done);
    connection.write(`*${words.length}\r\n` + words.map((word) => `$${word.length}\r\n${word}\r\n`).join(''));
  });
  return { get: (key) => send('GET', key), put: (key, value) => send('SET', key, value) };
}

// dial tries until a server is there.
function dial(path) {
  return new Promise((done) => {
    const connection = connect(path, () => done(connection));
    connection.on('error', () => setTimeout(() => dial(path).then(done), 10));
  });
}
