/* The bare C epoll echo server that the other peers are compared with: one thread, level-triggered, one read an
 * event, written back at once. It listens on 127.0.0.1, prints its port, and runs until it is killed.
 *
 * It keeps what a real server cannot leave out: a short write is kept and finished on EPOLLOUT, and a connection
 * with unsent data is not read. TCP_NODELAY is set, as asyncio and uvloop set it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 65536, BATCH = 256, BACKLOG = 1024 };

typedef struct {
    int fd;
    char *unsent;
    size_t unsent_size;
    size_t unsent_sent;
} connection_t;

static int epoll_fd;
static char buffer[READ_SIZE];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int operation, int fd, uint32_t events, void *handler)
{
    struct epoll_event event = {.events = events, .data.ptr = handler};
    if (epoll_ctl(epoll_fd, operation, fd, &event) < 0)
        die("epoll_ctl");
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0)
        die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void accept_all(int listener)
{
    for (;;) {
        int on = 1;
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            die("accept4");
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection_t *connection = calloc(1, sizeof *connection);
        if (!connection)
            die("calloc");
        connection->fd = fd;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection);
    }
}

static void lose(connection_t *connection)
{
    close(connection->fd);
    free(connection->unsent);
    free(connection);
}

static void keep_unsent(connection_t *connection, const char *data, size_t size)
{
    connection->unsent = malloc(size);
    if (!connection->unsent)
        die("malloc");
    memcpy(connection->unsent, data, size);
    connection->unsent_size = size;
    connection->unsent_sent = 0;
    watch(EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
}

static void finish_unsent(connection_t *connection)
{
    ssize_t sent = send(connection->fd, connection->unsent + connection->unsent_sent,
                        connection->unsent_size - connection->unsent_sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            lose(connection);
        return;
    }
    connection->unsent_sent += (size_t)sent;
    if (connection->unsent_sent < connection->unsent_size)
        return;
    free(connection->unsent);
    connection->unsent = NULL;
    watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
}

static void echo(connection_t *connection)
{
    ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            lose(connection);
        return;
    }
    ssize_t sent = send(connection->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        lose(connection);
        return;
    }
    if (sent < 0)
        sent = 0;
    if (sent < got)
        keep_unsent(connection, buffer + sent, (size_t)(got - sent));
}

int main(void)
{
    struct epoll_event events[BATCH];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    int listener = listen_on_loopback();
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, BATCH, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            connection_t *connection = events[i].data.ptr;
            if (!connection)
                accept_all(listener);
            else if (connection->unsent)
                finish_unsent(connection);
            else
                echo(connection);
        }
    }
}
