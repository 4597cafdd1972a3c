#ifndef SKERRY_CZLIB_SHIM_H
#define SKERRY_CZLIB_SHIM_H
#include <string.h>
#include <zlib.h>

// deflateInit2 and inflateInit2 are macros over these, which Swift cannot import.
static inline int skerry_deflate_init(z_stream *s, int level, int window_bits, int mem_level) {
    memset(s, 0, sizeof *s);
    return deflateInit2_(s, level, Z_DEFLATED, window_bits, mem_level, Z_DEFAULT_STRATEGY, ZLIB_VERSION, (int)sizeof(z_stream));
}
static inline int skerry_inflate_init(z_stream *s, int window_bits) {
    memset(s, 0, sizeof *s);
    return inflateInit2_(s, window_bits, ZLIB_VERSION, (int)sizeof(z_stream));
}
#endif
