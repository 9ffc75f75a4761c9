/* The receiver of the file benchmark: it listens on 127.0.0.1, prints its port, takes CONNECTIONS connections one after
 * another, and prints "BYTES SECONDS" of each, from the first byte to the end, on one line.
 *
 *     discard FILE CONNECTIONS
 *
 * The bytes of the first connection are compared with FILE, so that a sender is known to send the right ones.
 *
 * What is measured is the sender, so we cost it as little as a host at the other end of a network would:
 *   - The bytes of the other connections are thrown away in the kernel (MSG_TRUNC, tcp(7)), not copied.
 *   - Over loopback it is the sender that wakes us, and waking a core that sleeps takes longer than sending 64 kB, in a
 *     virtual machine much longer: so we sleep until ENOUGH has come (SO_RCVLOWAT). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 20, ENOUGH = 1 << 18 };

static char buffer[READ_SIZE];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 16) < 0)
        die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static ssize_t compare(int connection, const char *expected, size_t left)
{
    ssize_t got = recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0)
        return got;
    if ((size_t)got > left || memcmp(buffer, expected, (size_t)got) != 0) {
        fprintf(stderr, "what arrives differs from the file\n");
        exit(1);
    }
    return got;
}

static void take(int connection, const char *expected, size_t size)
{
    int enough = ENOUGH;
    double begun = 0;
    size_t total = 0;
    if (setsockopt(connection, SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof enough) < 0)
        die("setsockopt");
    for (;;) {
        ssize_t got = expected ? compare(connection, expected + total, size - total)
                               : recv(connection, buffer, sizeof buffer, MSG_TRUNC);
        if (got < 0)
            die("recv");
        if (!begun)
            begun = seconds();
        if (!got)
            break;
        total += (size_t)got;
    }
    printf("%zu %.6f ", total, seconds() - begun);
    close(connection);
}

int main(int argc, char **argv)
{
    struct stat status;
    if (argc != 3) {
        fprintf(stderr, "usage: discard FILE CONNECTIONS\n");
        return 2;
    }
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0)
        die(argv[1]);
    const char *expected = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
    if (expected == MAP_FAILED)
        die(argv[1]);
    int listener = listen_on_loopback();
    for (int left = atoi(argv[2]); left > 0; left--) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0)
            die("accept4");
        take(connection, expected, (size_t)status.st_size);
        expected = NULL;
    }
    printf("\n");
    return 0;
}
