// Kernels that stand for what C and Rust guests do. Each export takes a size and answers a checksum.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned char u8;

#define EXPORT(name) __attribute__((export_name(name)))

static u32 seed;
static u32 next(void) { return seed = seed * 1664525u + 1013904223u; }

EXPORT("fib") u32 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static u32 numbers[1 << 16];

static void sort(u32 *a, int lo, int hi) {
  while (lo < hi) {
    u32 p = a[lo + (hi - lo) / 2];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < p) i++;
      while (a[j] > p) j--;
      if (i <= j) {
        u32 t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (j - lo < hi - i) {
      sort(a, lo, j);
      lo = i;
    } else {
      sort(a, i, hi);
      hi = j;
    }
  }
}

EXPORT("sort") u32 sort_numbers(u32 n) {
  seed = 1;
  for (u32 i = 0; i < n; i++) numbers[i] = next();
  sort(numbers, 0, (int)n - 1);
  return numbers[n / 2];
}

EXPORT("crc") u32 crc(u32 n) {
  u32 c = ~0u;
  for (u32 i = 0; i < n; i++) {
    c ^= i & 255;
    for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
  }
  return ~c;
}

static double a[64][64], b[64][64], c[64][64];

EXPORT("matrix") u32 matrix(u32 n) {
  for (int i = 0; i < 64; i++)
    for (int j = 0; j < 64; j++) a[i][j] = i + j, b[i][j] = i - j;
  for (u32 round = 0; round < n; round++)
    for (int i = 0; i < 64; i++)
      for (int j = 0; j < 64; j++) {
        double s = 0;
        for (int k = 0; k < 64; k++) s += a[i][k] * b[k][j];
        c[i][j] = s;
      }
  return (u32)c[3][5];
}

static u8 flags[1 << 20];

EXPORT("sieve") u32 sieve(u32 n) {
  u32 count = 0;
  for (u32 i = 0; i < n; i++) flags[i] = 1;
  for (u32 i = 2; i < n; i++) {
    if (!flags[i]) continue;
    count++;
    for (u32 j = i + i; j < n; j += i) flags[j] = 0;
  }
  return count;
}

// An interpreter: what guests that are language runtimes do all day.
enum { PUSH, ADD, SUB, JNZ, DUP, SWAP, DROP, XOR, HALT };

EXPORT("interpret") u32 interpret(u32 n) {
  static const u8 code[] = {PUSH, DUP, XOR, SWAP, DUP, ADD, SWAP, XOR, DUP, DROP, JNZ, HALT};
  u32 stack[16], sp = 2, pc = 0, steps = 0;
  stack[0] = 7, stack[1] = 9;
  for (;;) {
    steps++;
    switch (code[pc++]) {
    case PUSH: stack[sp & 15] = pc + steps; sp++; break;
    case ADD: sp--; stack[(sp - 1) & 15] += stack[sp & 15]; break;
    case SUB: sp--; stack[(sp - 1) & 15] -= stack[sp & 15]; break;
    case XOR: sp--; stack[(sp - 1) & 15] ^= stack[sp & 15] * 31; break;
    case DUP: stack[sp & 15] = stack[(sp - 1) & 15]; sp++; break;
    case SWAP: { u32 t = stack[(sp - 1) & 15]; stack[(sp - 1) & 15] = stack[(sp - 2) & 15]; stack[(sp - 2) & 15] = t; break; }
    case DROP: sp--; break;
    case JNZ: if (steps < n) pc = 0; break;
    case HALT: return stack[(sp - 1) & 15];
    }
  }
}

// Text in, numbers out: a parser's branches.
EXPORT("parse") u32 parse(u32 n) {
  static char text[256];
  u32 len = 0, sum = 0;
  seed = 5;
  while (len < 240) {
    u32 v = next() >> 8;
    int digits = 1 + (v & 3);
    text[len++] = v & 16 ? '-' : '+';
    while (digits--) text[len++] = '0' + (v = v * 7 + 3) % 10;
    text[len++] = v & 1 ? ',' : ' ';
  }
  for (u32 r = 0; r < n; r++) {
    int sign = 1;
    u32 v = 0;
    for (u32 i = 0; i < len; i++) {
      char ch = text[i];
      if (ch >= '0' && ch <= '9') v = v * 10 + (u32)(ch - '0');
      else if (ch == '-') sign = -1;
      else if (ch == ',' || ch == ' ') { sum += (u32)sign * v; v = 0; sign = 1; }
    }
  }
  return sum;
}

typedef struct node { struct node *left, *right; u32 key; } node;
static node nodes[1 << 15];
static u32 used;

static node *insert(node *t, u32 key) {
  if (!t) {
    node *x = &nodes[used++];
    x->left = x->right = 0, x->key = key;
    return x;
  }
  if (key < t->key) t->left = insert(t->left, key);
  else t->right = insert(t->right, key);
  return t;
}

EXPORT("tree") u32 tree(u32 n) {
  node *root = 0;
  used = 0, seed = 3;
  for (u32 i = 0; i < n; i++) root = insert(root, next());
  u32 depth = 0;
  for (node *t = root; t; t = t->left) depth++;
  return depth;
}

EXPORT("copies") u32 copies(u32 n) {
  for (u32 i = 0; i < n; i++) __builtin_memcpy(flags + (i & 1023) * 64, flags + 100000 + (i & 255), 8 + (i & 63));
  return flags[77];
}

EXPORT("empty") void empty(u32 n) {
  for (u32 i = 0; i < n; i++) __asm__ volatile("");
}
