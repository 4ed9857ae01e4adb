#ifndef DISTRIC_CHECKSUM_H
#define DISTRIC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing from `seed`: pass 0 to start, or the result
/// for the bytes before. Uses the processor's instruction when there is one, chosen once at run time.
uint32_t distric_crc32c(uint32_t seed, const void *bytes, size_t length);

/// The same, always by tables: what `distric_crc32c` is tested against.
uint32_t distric_crc32c_table(uint32_t seed, const void *bytes, size_t length);

/// The name of the implementation in use: "sse4.2", "armv8" or "table".
const char *distric_crc32c_implementation(void);

#endif
