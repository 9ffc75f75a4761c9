/* The bare C epoll server of UDP echo: one thread, level-triggered, one datagram an event, answered at once.
 *
 *     udp_server SOCKETS
 *
 * It binds SOCKETS ports of 127.0.0.1, prints them, and runs until it is killed. An answer that the kernel does not
 * take is dropped, as UDP drops. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { LARGEST = 65536, BATCH = 256 };

static int epoll_fd;
static char buffer[LARGEST];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0)
        die("bind");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        die("getsockname");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
    return ntohs(address.sin_port);
}

static void echo(int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
    if (got < 0)
        return;
    sendto(fd, buffer, (size_t)got, 0, (struct sockaddr *)&from, length);
}

int main(int argc, char **argv)
{
    struct epoll_event events[BATCH];
    int sockets = argc == 2 ? atoi(argv[1]) : 1;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    for (int i = 0; i < sockets; i++)
        printf("%d ", open_port());
    printf("\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, BATCH, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++)
            echo(events[i].data.fd);
    }
}
