#include "checksum.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

typedef uint32_t (*crc_function)(uint32_t, const unsigned char *, size_t);

static uint32_t tables[8][256];
static crc_function chosen;
static const char *chosen_name;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/// Slicing by 8: table k advances a byte over k further zero bytes.
static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
        tables[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++) tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xFF];
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t n) {
    while (n >= 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = tables[7][low & 0xFF] ^ tables[6][(low >> 8) & 0xFF] ^ tables[5][(low >> 16) & 0xFF] ^ tables[4][low >> 24] ^
              tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
        p += 8;
        n -= 8;
    }
    while (n--) crc = (crc >> 8) ^ tables[0][(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const unsigned char *p, size_t n) {
    uint64_t wide = crc;
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
        p += 8;
        n -= 8;
    }
    crc = (uint32_t)wide;
    while (n--) crc = _mm_crc32_u8(crc, *p++);
    return crc;
}
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#define HARDWARE_NAME "sse4.2"
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t crc_hardware(uint32_t crc, const unsigned char *p, size_t n) {
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = __crc32cd(crc, word);
        p += 8;
        n -= 8;
    }
    while (n--) crc = __crc32cb(crc, *p++);
    return crc;
}
static int has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#define HARDWARE_NAME "armv8"
#else
#define crc_hardware crc_table
static int has_hardware(void) { return 0; }
#define HARDWARE_NAME "table"
#endif

static void choose(void) {
    fill_tables();
    int hardware = has_hardware();
    chosen = hardware ? crc_hardware : crc_table;
    chosen_name = hardware ? HARDWARE_NAME : "table";
}

uint32_t distric_crc32c(uint32_t seed, const void *bytes, size_t length) {
    pthread_once(&once, choose);
    return ~chosen(~seed, bytes, length);
}

uint32_t distric_crc32c_table(uint32_t seed, const void *bytes, size_t length) {
    pthread_once(&once, choose);
    return ~crc_table(~seed, bytes, length);
}

const char *distric_crc32c_implementation(void) {
    pthread_once(&once, choose);
    return chosen_name;
}
