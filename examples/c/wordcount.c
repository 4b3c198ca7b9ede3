// wordcount counts the lines, words and bytes of a request's body. A command module: CGI/1.1, no SDK.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    const char *method = getenv("REQUEST_METHOD");
    if (method == NULL || strcmp(method, "POST") != 0) {
        printf("Status: 405 Method Not Allowed\nAllow: POST\nContent-Type: text/plain\n\nPOST a text\n");
        return 0;
    }
    unsigned long lines = 0, words = 0, bytes = 0;
    int c, inside = 0;
    while ((c = getchar()) != EOF) {
        bytes++;
        lines += c == '\n';
        words += !isspace(c) && !inside;
        inside = !isspace(c);
    }
    if (ferror(stdin)) {
        perror("read body"); // the function's log
        return 1;            // 502
    }
    printf("Content-Type: text/plain\n\n%lu lines, %lu words, %lu bytes\n", lines, words, bytes);
    return 0;
}
