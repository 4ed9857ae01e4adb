#include "checksum.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

typedef uint32_t (*crc_function)(uint32_t, const unsigned char *, size_t);

static uint32_t tables[8][256];
static uint32_t crc_first(uint32_t crc, const unsigned char *p, size_t n);
// Whoever sums first chooses; nobody asks again whether that was done.
static _Atomic(crc_function) chosen = crc_first;
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
#define WITH_CRC __attribute__((target("sse4.2")))
#define STEP8(crc, word) ((uint32_t)_mm_crc32_u64(crc, word))
#define STEP4(crc, word) _mm_crc32_u32(crc, word)
#define STEP1(crc, byte) _mm_crc32_u8(crc, byte)
#define WITH_PRODUCT __attribute__((target("sse4.2,pclmul")))
#define HARDWARE_NAME "sse4.2"
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
#define WITH_CRC __attribute__((target("+crc")))
#define STEP8(crc, word) __crc32cd(crc, word)
#define STEP4(crc, word) __crc32cw(crc, word)
#define STEP1(crc, byte) __crc32cb(crc, byte)
#define HARDWARE_NAME "armv8"
static int has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#endif

#ifdef WITH_CRC
// One instruction waits three cycles for the one before it, and another may begin in each of them: three parts of a block are summed
// side by side, and then moved to their places. Moving a sum past `block` bytes of zeros is linear: four looks into tables do it.
enum { BLOCKS = 3 };
static const size_t blocks[BLOCKS] = {4096, 256, 64};
static uint32_t shifts[BLOCKS][4][256];

static uint64_t load8(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

WITH_CRC static void fill_shifts(void) {
    for (int block = 0; block < BLOCKS; block++) {
        uint32_t moved[32];
        for (int bit = 0; bit < 32; bit++) {
            uint32_t crc = 1u << bit;
            for (size_t done = 0; done < blocks[block]; done += 8) crc = STEP8(crc, 0);
            moved[bit] = crc;
        }
        for (int part = 0; part < 4; part++)
            for (int byte = 0; byte < 256; byte++) {
                uint32_t sum = 0;
                for (int bit = 0; bit < 8; bit++)
                    if (byte >> bit & 1) sum ^= moved[part * 8 + bit];
                shifts[block][part][byte] = sum;
            }
    }
}

#if defined(__x86_64__)
// The same by a multiplication without carries: a sum is a polynomial in reflected order, and moving it past n bits of zeros multiplies it by
// x^n mod P. The product of two such polynomials stands one bit too low and is reduced by the instruction itself, which brings 64 bits of its
// own: hence x^(n - 33). `powers` has them for one to 32 words. Frames of some hundred bytes are summed in three parts of any length so.
enum { WORDS = 32 };
static uint32_t powers[2 * WORDS + 1];
static int has_product;

WITH_CRC static void fill_powers(void) {
    // x^31 is 1 in reflected order; 31 bits on it are x^(64 - 33) for one word.
    uint32_t power = 0x80000000u;
    for (int bit = 0; bit < 31; bit++) power = (power >> 1) ^ (0x82F63B78u & (0u - (power & 1u)));
    for (int words = 1; words <= 2 * WORDS; words++) {
        powers[words] = power;
        power = STEP8(power, 0);
    }
}

WITH_PRODUCT static uint64_t product(uint32_t crc, uint32_t power) {
    __m128i both = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)power), 0);
    return (uint64_t)_mm_cvtsi128_si64(both);
}

/// Three parts of `words` words each, side by side.
WITH_PRODUCT static uint32_t crc_parts(uint32_t crc, const unsigned char *p, size_t words) {
    uint32_t second = 0, third = 0;
    const unsigned char *q = p + 8 * words, *r = q + 8 * words;
    for (size_t at = 0; at < 8 * words; at += 8) {
        crc = STEP8(crc, load8(p + at));
        second = STEP8(second, load8(q + at));
        third = STEP8(third, load8(r + at));
    }
    return STEP8(0, product(crc, powers[2 * words]) ^ product(second, powers[words])) ^ third;
}
#endif

static uint32_t shift(uint32_t crc, int block) {
    return shifts[block][0][crc & 0xFF] ^ shifts[block][1][crc >> 8 & 0xFF] ^ shifts[block][2][crc >> 16 & 0xFF] ^
           shifts[block][3][crc >> 24];
}

WITH_CRC static uint32_t crc_hardware(uint32_t crc, const unsigned char *p, size_t n) {
#if defined(__x86_64__)
    if (n >= 72 && n < 3 * 256 && has_product) {
        size_t words = n / 24 < WORDS ? n / 24 : WORDS;
        crc = crc_parts(crc, p, words);
        p += 24 * words;
        n -= 24 * words;
    }
#endif
    for (int block = 0; block < BLOCKS; block++) {
        size_t size = blocks[block];
        while (n >= 3 * size) {
            uint32_t second = 0, third = 0;
            for (size_t at = 0; at < size; at += 8) {
                crc = STEP8(crc, load8(p + at));
                second = STEP8(second, load8(p + size + at));
                third = STEP8(third, load8(p + 2 * size + at));
            }
            crc = shift(shift(crc, block) ^ second, block) ^ third;
            p += 3 * size;
            n -= 3 * size;
        }
    }
    for (; n >= 8; p += 8, n -= 8) crc = STEP8(crc, load8(p));
    if (n >= 4) {
        uint32_t word;
        memcpy(&word, p, 4);
        crc = STEP4(crc, word);
        p += 4;
        n -= 4;
    }
    while (n--) crc = STEP1(crc, *p++);
    return crc;
}
#else
#define crc_hardware crc_table
static void fill_shifts(void) {}
static int has_hardware(void) { return 0; }
#define HARDWARE_NAME "table"
#endif

static void choose(void) {
    fill_tables();
    int hardware = has_hardware();
    if (hardware) fill_shifts();
#if defined(__x86_64__)
    if (hardware && __builtin_cpu_supports("pclmul")) {
        fill_powers();
        has_product = 1;
    }
#endif
    chosen_name = hardware ? HARDWARE_NAME : "table";
    atomic_store_explicit(&chosen, hardware ? crc_hardware : crc_table, memory_order_release);
}

static uint32_t crc_first(uint32_t crc, const unsigned char *p, size_t n) {
    pthread_once(&once, choose);
    return atomic_load_explicit(&chosen, memory_order_acquire)(crc, p, n);
}

uint32_t distric_crc32c(uint32_t seed, const void *bytes, size_t length) {
    return ~atomic_load_explicit(&chosen, memory_order_acquire)(~seed, bytes, length);
}

uint32_t distric_crc32c_table(uint32_t seed, const void *bytes, size_t length) {
    pthread_once(&once, choose);
    return ~crc_table(~seed, bytes, length);
}

const char *distric_crc32c_implementation(void) {
    pthread_once(&once, choose);
    return chosen_name;
}
