/* Latencies in nanoseconds, each kept to within 1.6 %: 64 steps for each power of two.
 *
 * Owns counting and percentiles. One writer a histogram; `merge` when the writers are done.
 */
#ifndef BENCHMARK_HISTOGRAM_H
#define BENCHMARK_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define STEP_BITS 6
#define STEPS (1u << STEP_BITS)
#define BUCKETS ((64 - STEP_BITS + 1) * STEPS)

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total, highest;
};

static inline unsigned bucket_of(uint64_t value) {
    if (value < STEPS)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    return (shift + 1) * STEPS + (unsigned)((value >> shift) - STEPS);
}

/* The middle of what a bucket stands for. */
static inline uint64_t value_of(unsigned bucket) {
    if (bucket < STEPS)
        return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((uint64_t)(bucket % STEPS + STEPS) << shift) + ((1ull << shift) >> 1);
}

static inline void note(struct histogram *into, uint64_t value) {
    into->counts[bucket_of(value)]++;
    into->total++;
    if (value > into->highest)
        into->highest = value;
}

static inline void merge(struct histogram *into, const struct histogram *from) {
    for (unsigned i = 0; i < BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->highest > into->highest)
        into->highest = from->highest;
}

static inline double microseconds_at(const struct histogram *of, double share) {
    uint64_t wanted = (uint64_t)(share * (double)of->total), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += of->counts[i];
        if (of->counts[i] && seen > wanted)
            return (double)(value_of(i) < of->highest ? value_of(i) : of->highest) / 1000;
    }
    return (double)of->highest / 1000;
}

static inline void print_percentiles(const struct histogram *of) {
    printf("\"p50\": %.3f, \"p95\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f", microseconds_at(of, 0.50),
           microseconds_at(of, 0.95), microseconds_at(of, 0.99), microseconds_at(of, 0.999), (double)of->highest / 1000);
}

#endif
