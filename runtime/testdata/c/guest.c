// A guest for tests: a sett module in C without an SDK. Like the one in Go it does all it can to be recognised by
// the next invocation of its instance. It also hashes the event it is given, as work to be measured.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((import_module("sett"), import_name("event_read"))) uint32_t event_read(void *to, uint32_t length);
__attribute__((import_module("sett"), import_name("reply_write"))) void reply_write(const void *from, uint32_t length);

static int calls = 0;                 // a global counter
static unsigned char table[1 << 20];  // made when the module is initialised
static unsigned char buffer[1 << 19]; // a static buffer
static char *heap = NULL;             // a heap that grows

__attribute__((constructor)) static void initialize(void) {
    for (size_t i = 0; i < sizeof table; i++) table[i] = (unsigned char)(i * 31 + (i >> 8));
}

__attribute__((export_name("sett_abi_version"))) uint32_t version(void) { return 1; }

static unsigned number(const char *event, uint32_t length, const char *path) {
    size_t n = strlen(path);
    for (uint32_t i = 0; i + n < length; i++)
        if (memcmp(event + i, path, n) == 0) return (unsigned)strtoul(event + i + n, NULL, 10);
    return 1;
}

__attribute__((export_name("sett_handle"))) uint32_t handle(uint32_t length) {
    static char event[16384], reply[512];
    if (length >= sizeof event) return 1;
    event_read(event, length);
    event[length] = 0;
    unsigned n = number(event, length, "/count/");
    calls++;
    buffer[0]++;
    buffer[sizeof buffer - 1]++;
    uint32_t hash = 2166136261u;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < length; i++)
            hash = (hash ^ table[(hash ^ (unsigned char)event[i]) & (sizeof table - 1)]) * 16777619u;
    memcpy(buffer + 4096, event, length);
    if (n % 3 == 2) {
        char *more = malloc(1 << 20);
        if (more == NULL) abort();
        memset(more, 1, 1 << 20);
        *(char **)more = heap;
        heap = more;
    }
    if (n % 7 == 0) __builtin_trap();
    if (n % 11 == 0) exit(11);
    int size = snprintf(reply + 2, 100, "%d %d %d %d", calls, buffer[0], buffer[sizeof buffer - 1],
                        heap != NULL && *(char **)heap != NULL);
    reply[0] = 0x1a; // field 3, the body
    reply[1] = (char)size;
    volatile uint32_t sink = hash;
    (void)sink;
    reply_write(reply, (uint32_t)size + 2);
    return 0;
}
