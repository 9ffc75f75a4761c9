/* The load generator of datagrams: a closed loop over UDP to 127.0.0.1, one client and one outstanding datagram a
 * server socket; prints one JSON object.
 *
 *     udp_load PORT[,PORT...] BYTES WARMUP SECONDS PID
 *
 * As load.c: only what completes between the end of WARMUP and SECONDS later counts, the processor time of the server
 * PID is read at exactly these two moments, and every byte is compared during the warm-up.
 *
 * Facts about UDP here, and what they mean for us:
 *   - A datagram may be lost (a full receive buffer drops it without a word). One that is unanswered for RESEND_NS is
 *     sent again and counted. So that a late answer is not taken for that of the next one, each begins with its number.
 *   - A port that nobody has bound answers by ICMP: a connected socket then fails with ECONNREFUSED, and so do we. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

enum { BATCH = 256, LARGEST = 65507, WAIT_MS = 50, MOST_CLIENTS = 4096 };
static const int64_t RESEND_NS = 100000000;

typedef struct {
    int fd;
    uint64_t number;
    int64_t started;
    int64_t sent;
} client_t;

static client_t clients[MOST_CLIENTS];
static int count;
static size_t size;

static int epoll_fd;
static char message[LARGEST];
static char answer[LARGEST];
static int64_t now;
static bool measuring;
static int64_t completed_ever;
static int64_t resent;

static void send_datagram(client_t *client)
{
    memcpy(message, &client->number, sizeof client->number);
    client->sent = now;
    if (send(client->fd, message, size, 0) < 0 && errno != EAGAIN && errno != ENOBUFS)
        die("send");
}

static void begin(client_t *client)
{
    client->number++;
    client->started = now;
    send_datagram(client);
}

static void open_client(client_t *client, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    client->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0)
        die("epoll_ctl");
    begin(client);
}

static void read_answer(client_t *client)
{
    uint64_t number;
    ssize_t got = recv(client->fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0)
        die("the server does not answer");
    errno = 0;
    if ((size_t)got != size)
        die("the echo has another length than what was sent");
    memcpy(&number, answer, sizeof number);
    if (number < client->number)
        return; /* the answer of one that was sent twice */
    if (!measuring && memcmp(answer + sizeof number, message + sizeof number, size - sizeof number) != 0)
        die("the echo differs from what was sent");
    now = clock_ns(CLOCK_MONOTONIC);
    completed_ever++;
    if (measuring)
        record(now - client->started);
    begin(client);
}

static void resend_the_lost(void)
{
    for (client_t *client = clients; client < clients + count; client++) {
        if (now - client->sent < RESEND_NS)
            continue;
        resent++;
        send_datagram(client);
    }
}

static void run_until(int64_t end)
{
    struct epoll_event events[BATCH];
    int64_t looked = now;
    while (now < end) {
        int ready = epoll_wait(epoll_fd, events, BATCH, WAIT_MS);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++)
            read_answer(events[i].data.ptr);
        now = clock_ns(CLOCK_MONOTONIC);
        if (now - looked < RESEND_NS / 2)
            continue;
        looked = now;
        resend_the_lost();
    }
}

static void warm_up(int64_t length)
{
    int64_t begun = now;
    run_until(begun + length);
    while (completed_ever < count) {
        run_until(now + RESEND_NS);
        if (now > begun + 10000000000LL) {
            errno = ETIMEDOUT;
            die("warm-up: not every socket answered within 10 s");
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: udp_load PORT[,PORT...] BYTES WARMUP SECONDS PID\n");
        return 2;
    }
    size = (size_t)atol(argv[2]);
    int64_t warmup = (int64_t)(atof(argv[3]) * 1e9);
    int64_t length = (int64_t)(atof(argv[4]) * 1e9);
    int server = atoi(argv[5]);
    errno = EINVAL;
    if (size < sizeof clients->number || size > LARGEST)
        die("the size of a datagram");
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("start");
    for (size_t i = 0; i < size; i++)
        message[i] = (char)(i * 31 + i / 251);

    now = clock_ns(CLOCK_MONOTONIC);
    for (char *port = strtok(argv[1], ","); port && count < MOST_CLIENTS; port = strtok(NULL, ","))
        open_client(&clients[count++], atoi(port));
    warm_up(warmup);

    int64_t own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t server_cpu = cpu_ns_of(server);
    int64_t begun = now = clock_ns(CLOCK_MONOTONIC);
    resent = 0;
    measuring = true;
    run_until(begun + length);
    int64_t elapsed = now - begun;
    server_cpu = cpu_ns_of(server) - server_cpu;
    own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_cpu;
    if (recorded == 0) {
        errno = ETIMEDOUT;
        die("nothing was answered");
    }
    print_result(elapsed, server_cpu, own_cpu, resent);
    return 0;
}
