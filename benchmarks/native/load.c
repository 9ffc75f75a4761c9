/* The load generator: a closed loop over TCP to 127.0.0.1, one outstanding message a connection; prints one JSON object.
 *
 *     load echo  PORT CONNECTIONS BYTES WARMUP SECONDS PID     connections stay open
 *     load churn PORT CONNECTIONS BYTES WARMUP SECONDS PID     connect, one message and its echo, orderly close, again
 *
 * Only what completes between the end of WARMUP and SECONDS later counts. The CPU time of the server PID (all its
 * threads, user and kernel) is read from /proc at exactly these two moments, so that starting, connecting and
 * draining are not charged to a request. During the warm-up every echoed byte is compared with what was sent.
 *
 * Facts about TCP here, and what they mean for us:
 *   - The side that closes first keeps the port in TIME_WAIT for a minute, and one source address has about 28,000
 *     ports. A churning client closes first (shutdown, then it waits for the server's close), so its connections go
 *     out from 127.0.0.1 ... 127.0.0.32, each with its own ports (IP_BIND_ADDRESS_NO_PORT: chosen at connect).
 *   - A close by reset would save the TIME_WAIT, but the server would then run its error path, not its usual one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { BATCH = 256, READ_SIZE = 65536, SOURCES = 32, WAIT_MS = 100 };

typedef enum { CONNECTING, SENDING, AWAITING_ECHO, AWAITING_CLOSE } state_t;

typedef struct {
    int fd;
    int slot;
    state_t state;
    uint32_t watched;
    size_t sent;
    size_t received;
    int64_t started;
} connection_t;

static bool churn;
static int port;
static int connections;
static size_t size;
static int server;

static int epoll_fd;
static char *message;
static char sink[READ_SIZE];
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

static void begin_connection(connection_t *connection)
{
    int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (churn) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(connection->slot % SOURCES));
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
            die("bind");
    }
    connection->fd = fd;
    connection->state = CONNECTING;
    connection->watched = 0;
    connection->started = now;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(connection, EPOLLOUT);
}

static void send_message(connection_t *connection)
{
    ssize_t sent = send(connection->fd, message + connection->sent, size - connection->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send");
    if (sent > 0)
        connection->sent += (size_t)sent;
    bool whole = connection->sent == size;
    connection->state = whole ? AWAITING_ECHO : SENDING;
    watch(connection, whole ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static void begin_message(connection_t *connection)
{
    connection->sent = 0;
    connection->received = 0;
    send_message(connection);
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
    begin_message(connection);
}

static void count(connection_t *connection)
{
    now = clock_ns(CLOCK_MONOTONIC);
    completed_ever++;
    if (measuring)
        record(now - connection->started);
    connection->started = now;
}

static void await_close(connection_t *connection)
{
    ssize_t got = recv(connection->fd, sink, sizeof sink, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got != 0) {
        errno = got > 0 ? 0 : errno;
        die("the server did not close in order");
    }
    close(connection->fd);
    count(connection);
    begin_connection(connection);
}

static void read_echo(connection_t *connection)
{
    size_t left = size - connection->received;
    ssize_t got = recv(connection->fd, sink, left < sizeof sink ? left : sizeof sink, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        errno = got ? errno : 0;
        die("the server hung up");
    }
    if (!measuring && memcmp(sink, message + connection->received, (size_t)got) != 0) {
        errno = 0;
        die("the echo differs from what was sent");
    }
    connection->received += (size_t)got;
    if (connection->received < size)
        return;
    if (churn) {
        connection->state = AWAITING_CLOSE;
        shutdown(connection->fd, SHUT_WR);
        return;
    }
    count(connection);
    begin_message(connection);
}

static void serve(connection_t *connection, uint32_t events)
{
    switch (connection->state) {
    case CONNECTING:
        finish_connect(connection);
        return;
    case SENDING:
        if (events & EPOLLOUT)
            send_message(connection);
        if (events & ~(uint32_t)EPOLLOUT)
            read_echo(connection);
        return;
    case AWAITING_ECHO:
        read_echo(connection);
        return;
    case AWAITING_CLOSE:
        await_close(connection);
    }
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

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: load echo|churn PORT CONNECTIONS BYTES WARMUP SECONDS PID\n");
        return 2;
    }
    churn = strcmp(argv[1], "churn") == 0;
    port = atoi(argv[2]);
    connections = atoi(argv[3]);
    size = (size_t)atol(argv[4]);
    int64_t warmup = (int64_t)(atof(argv[5]) * 1e9);
    int64_t length = (int64_t)(atof(argv[6]) * 1e9);
    server = atoi(argv[7]);

    message = malloc(size);
    connection_t *all = calloc((size_t)connections, sizeof *all);
    if (!message || !all || (epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("start");
    for (size_t i = 0; i < size; i++)
        message[i] = (char)(i * 31 + i / 251);

    now = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < connections; i++) {
        all[i].slot = i;
        begin_connection(&all[i]);
    }
    warm_up(warmup);

    int64_t own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t server_cpu = cpu_ns_of(server);
    int64_t begun = now = clock_ns(CLOCK_MONOTONIC);
    measuring = true;
    run_until(begun + length);
    int64_t elapsed = now - begun;
    server_cpu = cpu_ns_of(server) - server_cpu;
    own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_cpu;
    if (recorded == 0) {
        errno = ETIMEDOUT;
        die("nothing was answered");
    }
    print_result(elapsed, server_cpu, own_cpu, 0);
    return 0;
}
