// A sett module that runs guest.js in QuickJS, for tests: the interpreter and the script's globals are made once, when
// the module is initialised, and so are part of the image. script.h is guest.js as an array of bytes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "quickjs.h"
#include "script.h"

__attribute__((import_module("sett"), import_name("event_read"))) uint32_t event_read(void *to, uint32_t length);
__attribute__((import_module("sett"), import_name("reply_write"))) void reply_write(const void *from, uint32_t length);

static JSContext *context;
static JSValue handler;

static JSValue leave(JSContext *c, JSValueConst this, int count, JSValueConst *args) { exit(11); }

static JSValue trap(JSContext *c, JSValueConst this, int count, JSValueConst *args) { __builtin_trap(); }

__attribute__((constructor)) static void initialize(void) {
    context = JS_NewContext(JS_NewRuntime());
    JSValue global = JS_GetGlobalObject(context);
    JS_SetPropertyStr(context, global, "exit", JS_NewCFunction(context, leave, "exit", 0));
    JS_SetPropertyStr(context, global, "trap", JS_NewCFunction(context, trap, "trap", 0));
    handler = JS_Eval(context, (const char *)script, sizeof script - 1, "guest.js", JS_EVAL_TYPE_GLOBAL);
    if (!JS_IsFunction(context, handler)) abort();
}

__attribute__((export_name("sett_abi_version"))) uint32_t version(void) { return 1; }

__attribute__((export_name("sett_handle"))) uint32_t handle(uint32_t length) {
    static char event[16384], reply[128];
    if (length >= sizeof event) return 1;
    event_read(event, length);
    JSValue text = JS_NewStringLen(context, event, length);
    JSValue said = JS_Call(context, handler, JS_UNDEFINED, 1, &text);
    size_t size;
    const char *answer = JS_ToCStringLen(context, &size, said);
    if (answer == NULL || size > sizeof reply - 2) return 2;
    reply[0] = 0x1a; // field 3, the body
    reply[1] = (char)size;
    memcpy(reply + 2, answer, size);
    reply_write(reply, (uint32_t)size + 2);
    return 0;
}
