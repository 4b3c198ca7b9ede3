// A component in C without a libc: it calls wasi:http as the canonical ABI lays the calls out.
// It tells what came in and streams the body back; /mirror/stream?kb=2048 replies with 2 MB. See README.md.
#define HTTP "wasi:http/types@0.2.10"
#define STREAMS "wasi:io/streams@0.2.10"
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name))) extern

typedef unsigned char byte;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u32 handle; // of a resource, in the table of this instance

typedef struct { const char *data; u32 len; } string;
typedef struct { string name, value; } field;
typedef struct { field *data; u32 len; } fields;
typedef struct { byte tag; string value; } variant; // option<string>, method, result<list<u8>, stream-error>
typedef struct { byte failed; handle value; } result;

IMPORT(HTTP, "[method]incoming-request.method") void request_method(handle, variant *);
IMPORT(HTTP, "[method]incoming-request.path-with-query") void request_path(handle, variant *);
IMPORT(HTTP, "[method]incoming-request.headers") handle request_headers(handle);
IMPORT(HTTP, "[method]incoming-request.consume") void request_consume(handle, result *);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(handle);
IMPORT(HTTP, "[method]incoming-body.stream") void body_stream(handle, result *);
IMPORT(HTTP, "[resource-drop]incoming-body") void body_drop(handle);
IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.append") void fields_append(handle, const char *, u32, const char *, u32, void *);
IMPORT(HTTP, "[method]fields.entries") void fields_entries(handle, fields *);
IMPORT(HTTP, "[resource-drop]fields") void fields_drop(handle);
IMPORT(HTTP, "[constructor]outgoing-response") handle response_new(handle);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(handle, result *);
IMPORT(HTTP, "[static]response-outparam.set") void respond(handle, u32, u32, u32, u64, u32, u32, u32, u32);
IMPORT(HTTP, "[method]outgoing-body.write") void out_write(handle, result *);
IMPORT(HTTP, "[static]outgoing-body.finish") void out_finish(handle, u32, handle, void *);
IMPORT(STREAMS, "[method]input-stream.blocking-read") void read_some(handle, u64, variant *);
IMPORT(STREAMS, "[resource-drop]input-stream") void in_drop(handle);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush") void write_some(handle, const char *, u32, void *);
IMPORT(STREAMS, "[resource-drop]output-stream") void stream_drop(handle);

static u32 count; // Reads 1 in every reply: no request sees what another left in memory.

// What the host returns lies at the heap's end; a caller that is done with it sets top back.
extern byte __heap_base;
static byte *top = &__heap_base;

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  byte *start = (byte *)(((u32)top + align - 1) & -align);
  while ((u32)start + size > __builtin_wasm_memory_size(0) << 16)
    if (__builtin_wasm_memory_grow(0, 1) == -1) __builtin_trap();
  for (u32 i = 0; i < old_size && i < size; i++) start[i] = ((byte *)old)[i];
  top = start + size;
  return start;
}

static handle must(result r) {
  if (r.failed) __builtin_trap(); // 502, and the log says why
  return r.value;
}

// put writes s to out, in the pieces blocking-write-and-flush takes.
static void put(handle out, string s) {
  for (u32 n; s.len > 0; s.data += n, s.len -= n) {
    struct { byte failed; u32 tag; handle error; } done;
    n = s.len < 4096 ? s.len : 4096;
    write_some(out, s.data, n, &done);
    if (done.failed) __builtin_trap();
  }
}

static void text(handle out, const char *s) { put(out, (string){s, __builtin_strlen(s)}); }

static void number(handle out, u32 n) {
  char digits[10];
  u32 at = 10;
  do digits[--at] = '0' + n % 10; while (n /= 10);
  put(out, (string){digits + at, 10 - at});
}

static void line(handle out, string name, string value) {
  put(out, name), text(out, ": "), put(out, value), text(out, "\n");
}

static const string methods[] = {{"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3}, {"DELETE", 6},
  {"CONNECT", 7}, {"OPTIONS", 7}, {"TRACE", 5}, {"PATCH", 5}};

static void describe(handle out, handle request, string path) {
  variant method;
  request_method(request, &method);
  text(out, "count: "), number(out, ++count), text(out, "\n");
  line(out, (string){"method", 6}, method.tag < 9 ? methods[method.tag] : method.value);
  line(out, (string){"path", 4}, path);
  fields entries;
  handle headers = request_headers(request);
  fields_entries(headers, &entries);
  for (u32 i = 0; i < entries.len; i++) line(out, entries.data[i].name, entries.data[i].value);
  fields_drop(headers);
  text(out, "\n");
}

// echo streams the request's body to out.
static void echo(handle out, handle request) {
  result r;
  request_consume(request, &r);
  handle body = must(r);
  body_stream(body, &r);
  handle in = must(r);
  byte *mark = top;
  for (variant piece;; top = mark) {
    read_some(in, 1 << 16, &piece);
    if (piece.tag) break; // closed, or cut off
    put(out, piece.value);
  }
  in_drop(in), body_drop(body);
}

// kilobytes is the number behind /mirror/stream?kb=, 0 when path is another.
static u32 kilobytes(string path) {
  static const char want[] = "/mirror/stream?kb=";
  u32 n = 0;
  for (u32 i = 0; i < path.len; i++)
    if (i < sizeof want - 1) {
      if (path.data[i] != want[i]) return 0;
    } else n = n * 10 + path.data[i] - '0';
  return n;
}

// letters writes so many KB.
static void letters(handle out, u32 kb) {
  static char block[1024];
  __builtin_memset(block, 'a', sizeof block);
  for (; kb > 0; kb--) put(out, (string){block, sizeof block});
}

// begin sends status 200 and answers the body, whose stream is *out.
static handle begin(handle reply, handle *out) {
  result r;
  handle headers = fields_new();
  u32 refused[2]; // a result<_, header-error>
  fields_append(headers, "content-type", 12, "text/plain", 10, refused);
  handle response = response_new(headers);
  response_body(response, &r);
  handle body = must(r);
  out_write(body, &r);
  *out = must(r);
  respond(reply, 0, response, 0, 0, 0, 0, 0, 0);
  return body;
}

__attribute__((export_name("wasi:http/incoming-handler@0.2.10#handle"))) void handle_request(handle request, handle reply) {
  handle out, body = begin(reply, &out);
  variant path;
  request_path(request, &path);
  u32 kb = path.tag ? kilobytes(path.value) : 0;
  if (kb > 0)
    letters(out, kb);
  else
    describe(out, request, path.value), echo(out, request);
  request_drop(request), stream_drop(out);
  u64 failed[5]; // a result<_, error-code>
  out_finish(body, 0, 0, failed);
}
