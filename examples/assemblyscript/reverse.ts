// A command in AssemblyScript: the request's path on the environment, its body on standard input, the reply on
// standard output. See README.md.

const method = process.env.has("REQUEST_METHOD") ? process.env.get("REQUEST_METHOD") : "";
let body = "";
const chunk = new ArrayBuffer(4096);
for (let n = process.stdin.read(chunk); n > 0; n = process.stdin.read(chunk)) {
  body += String.UTF8.decode(chunk.slice(0, <i32>n));
}

if (method != "POST") {
  process.stdout.write("Status: 405 Method Not Allowed\nAllow: POST\nContent-Type: text/plain\n\nsend text with POST\n");
} else {
  process.stdout.write("Content-Type: text/plain; charset=utf-8\n\n" + body.trim().split("").reverse().join("") + "\n");
}
