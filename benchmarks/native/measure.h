/* What the load generators share: ending with a message, the clocks, the processor time of the server, latencies. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUB_BITS = 6, SUB = 1 << SUB_BITS, BUCKETS = 40 * SUB }; /* latencies: 64 steps to each power of two */

static int64_t recorded;
static int64_t histogram[BUCKETS];

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "protocol error");
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The nanoseconds that the threads of a process have been on a processor. */
static int64_t cpu_ns_of(int pid)
{
    char path[320];
    int64_t total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        die(path);
    for (struct dirent *task; (task = readdir(tasks));) {
        long long on_cpu;
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            die(path);
        if (fscanf(file, "%lld", &on_cpu) != 1)
            die(path);
        fclose(file);
        total += on_cpu;
    }
    closedir(tasks);
    return total;
}

static int bucket_of(int64_t value)
{
    if (value < SUB)
        return value < 0 ? 0 : (int)value;
    int shift = 63 - __builtin_clzll((uint64_t)value) - SUB_BITS;
    int bucket = (shift + 1) * SUB + (int)((value >> shift) - SUB);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static void record(int64_t latency_ns)
{
    recorded++;
    histogram[bucket_of(latency_ns)]++;
}

static double bucket_middle_us(int bucket)
{
    if (bucket < SUB)
        return bucket / 1e3;
    int shift = bucket / SUB - 1;
    return ((double)(bucket % SUB + SUB) + 0.5) * (double)(1LL << shift) / 1e3;
}

static double percentile_us(double share)
{
    int64_t seen = 0;
    int64_t wanted = (int64_t)((double)recorded * share);
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram[bucket];
        if (seen > wanted)
            return bucket_middle_us(bucket);
    }
    return 0;
}

/* Prints one JSON object; `resent` counts the messages that had to be sent again. */
static void print_result(int64_t elapsed, int64_t server_cpu, int64_t own_cpu, int64_t resent)
{
    printf("{\"completed\": %lld, \"resent\": %lld, \"seconds\": %.6f, \"server_cpu_seconds\": %.9f, "
           "\"load_cpu_seconds\": %.9f, "
           "\"latency_us\": {\"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"p999\": %.2f}}\n",
           (long long)recorded, (long long)resent, (double)elapsed / 1e9, (double)server_cpu / 1e9,
           (double)own_cpu / 1e9,
           percentile_us(0.5), percentile_us(0.9), percentile_us(0.99), percentile_us(0.999));
}
