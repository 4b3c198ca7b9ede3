// Like the guests in Go and C it does all it can to be recognised by the next invocation of its instance.
let calls = 0;
const buffer = new Uint8Array(1 << 16);
const kept = [];
const seen = new Map();

(event) => {
  const n = Number((/\/count\/(\d+)/.exec(event) || [])[1] || 1);
  calls++;
  buffer[0]++;
  buffer[buffer.length - 1]++;
  seen.set("call" + calls, calls);
  const from = event.indexOf("{");
  if (from >= 0) {
    const order = JSON.parse(event.slice(from, event.lastIndexOf("}") + 1));
    order.total = order.lines.reduce((sum, line) => sum + line.quantity * line.price, 0);
    kept.push(JSON.stringify(order));
  }
  if (n % 3 === 2) kept.push(new Uint8Array(1 << 20).fill(1), "x".repeat(1000));
  if (n % 7 === 0) trap();
  if (n % 11 === 0) exit();
  return [calls, buffer[0], buffer[buffer.length - 1], seen.size].join(" ");
};
