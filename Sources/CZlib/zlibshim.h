#ifndef DISTRIC_ZLIBSHIM_H
#define DISTRIC_ZLIBSHIM_H

#include <zlib.h>

/// `deflateInit2` is a macro, which Swift does not see: `windowBits` 31 writes a gzip header (RFC 1952).
static inline int distric_deflate_begin(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
}

/// 31 reads gzip only.
static inline int distric_inflate_begin(z_stream *stream) { return inflateInit2(stream, 31); }

#endif
