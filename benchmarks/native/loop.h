/* What the load generators over TCP share: connecting to 127.0.0.1, the loop of epoll, the warm-up and the measured time.
 *
 * Only what completes between the end of WARMUP and SECONDS later counts. The CPU time of the server PID (all its
 * threads, user and kernel) is read from /proc at exactly these two moments, so that starting, connecting and
 * draining are not charged to a request. During the warm-up every echoed byte is compared with what was sent.
 *
 * Facts about TCP here, and what they mean for us:
 *   - The side that closes first keeps the port in TIME_WAIT for a minute, and one source address has about 28,000
 *     ports. A client that connects anew closes first (shutdown, then it waits for the server's close), so its
 *     connections go out from 127.0.0.1 ... 127.0.0.32, each with its own ports (IP_BIND_ADDRESS_NO_PORT: chosen at
 *     connect).
 *   - A close by reset would save the TIME_WAIT, but the server would then run its error path, not its usual one. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { BATCH = 256, SOURCES = 32, WAIT_MS = 100 };

/* The beginning of each generator's own connection. */
typedef struct {
    int fd;
    int slot;
    uint32_t watched;
    int64_t started;
} connection_t;

/* What each generator has of its own. */
static void serve(connection_t *connection, uint32_t events);

static bool connects_anew;
static int port;
static int connections;
static size_t size;
static double warm_up_seconds;
static double measured_seconds;
static int server;

static int epoll_fd;
static char *message;
static int64_t now;
static bool measuring;
static int64_t completed_ever;

static void watch(connection_t *connection, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (connection->watched == events)
        return;
    if (epoll_ctl(epoll_fd, connection->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd, &event) < 0)
        die("epoll_ctl");
    connection->watched = events;
}

/* EPOLLOUT will tell when it is connected. */
static void begin_connection(connection_t *connection)
{
    int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connects_anew) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(connection->slot % SOURCES));
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
            die("bind");
    }
    connection->fd = fd;
    connection->watched = 0;
    connection->started = now;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(connection, EPOLLOUT);
}

static void finish_connect(connection_t *connection)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        errno = error;
        die("connect");
    }
}

static void count(connection_t *connection)
{
    now = clock_ns(CLOCK_MONOTONIC);
    completed_ever++;
    if (measuring)
        record(now - connection->started);
    connection->started = now;
}

static void compare(const char *echo, size_t from, size_t length)
{
    if (!measuring && memcmp(echo, message + from, length) != 0) {
        errno = 0;
        die("the echo differs from what was sent");
    }
}

/* Whether the server has closed, which has to be in order. */
static bool has_closed(connection_t *connection, ssize_t got)
{
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got != 0) {
        errno = got > 0 ? 0 : errno;
        die("the server did not close in order");
    }
    close(connection->fd);
    return true;
}

static void run_until(int64_t end)
{
    struct epoll_event events[BATCH];
    while (now < end) {
        int ready = epoll_wait(epoll_fd, events, BATCH, WAIT_MS);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++)
            serve(events[i].data.ptr, events[i].events);
        now = clock_ns(CLOCK_MONOTONIC);
    }
}

/* On return every connection has completed at least once: the warm-up is over when all are open and have been served. */
static void warm_up(int64_t length)
{
    int64_t begun = now;
    run_until(begun + length);
    while (completed_ever < connections) {
        run_until(now + length);
        if (now > begun + 10000000000LL) {
            errno = ETIMEDOUT;
            die("warm-up: not every connection was answered within 10 s");
        }
    }
}

/* Reads PORT CONNECTIONS BYTES WARMUP SECONDS PID. */
static void prepare(char **arguments)
{
    port = atoi(arguments[0]);
    connections = atoi(arguments[1]);
    size = (size_t)atol(arguments[2]);
    warm_up_seconds = atof(arguments[3]);
    measured_seconds = atof(arguments[4]);
    server = atoi(arguments[5]);
    message = malloc(size);
    if (!message || (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("start");
    for (size_t i = 0; i < size; i++)
        message[i] = (char)(i * 31 + i / 251);
    now = clock_ns(CLOCK_MONOTONIC);
}

/* Every connection has begun: warm up, measure, and print. */
static void measure(void)
{
    warm_up((int64_t)(warm_up_seconds * 1e9));
    int64_t own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t server_cpu = cpu_ns_of(server);
    int64_t begun = now = clock_ns(CLOCK_MONOTONIC);
    measuring = true;
    run_until(begun + (int64_t)(measured_seconds * 1e9));
    int64_t elapsed = now - begun;
    server_cpu = cpu_ns_of(server) - server_cpu;
    own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_cpu;
    if (recorded == 0) {
        errno = ETIMEDOUT;
        die("nothing was answered");
    }
    print_result(elapsed, server_cpu, own_cpu, 0);
}
