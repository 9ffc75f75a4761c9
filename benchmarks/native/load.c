/* The load generator: a closed loop over TCP to 127.0.0.1, one outstanding message a connection; prints one JSON object.
 *
 *     load echo  PORT CONNECTIONS BYTES WARMUP SECONDS PID     connections stay open
 *     load churn PORT CONNECTIONS BYTES WARMUP SECONDS PID     connect, one message and its echo, orderly close, again
 *
 * What counts, and when, is in loop.h. */
#define _GNU_SOURCE
#include "loop.h"

enum { READ_SIZE = 65536 };

typedef enum { CONNECTING, SENDING, AWAITING_ECHO, AWAITING_CLOSE } state_t;

typedef struct {
    connection_t at;
    state_t state;
    size_t sent;
    size_t received;
} client_t;

static char sink[READ_SIZE];

static void begin_client(client_t *client)
{
    client->state = CONNECTING;
    begin_connection(&client->at);
}

static void send_message(client_t *client)
{
    ssize_t sent = send(client->at.fd, message + client->sent, size - client->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send");
    if (sent > 0)
        client->sent += (size_t)sent;
    bool whole = client->sent == size;
    client->state = whole ? AWAITING_ECHO : SENDING;
    watch(&client->at, whole ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static void begin_message(client_t *client)
{
    client->sent = 0;
    client->received = 0;
    send_message(client);
}

static void read_echo(client_t *client)
{
    size_t left = size - client->received;
    ssize_t got = recv(client->at.fd, sink, left < sizeof sink ? left : sizeof sink, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        errno = got ? errno : 0;
        die("the server hung up");
    }
    compare(sink, client->received, (size_t)got);
    client->received += (size_t)got;
    if (client->received < size)
        return;
    if (connects_anew) {
        client->state = AWAITING_CLOSE;
        shutdown(client->at.fd, SHUT_WR);
        return;
    }
    count(&client->at);
    begin_message(client);
}

static void await_close(client_t *client)
{
    if (!has_closed(&client->at, recv(client->at.fd, sink, sizeof sink, 0)))
        return;
    count(&client->at);
    begin_client(client);
}

static void serve(connection_t *connection, uint32_t events)
{
    client_t *client = (client_t *)connection;
    switch (client->state) {
    case CONNECTING:
        finish_connect(connection);
        begin_message(client);
        return;
    case SENDING:
        if (events & EPOLLOUT)
            send_message(client);
        if (events & ~(uint32_t)EPOLLOUT)
            read_echo(client);
        return;
    case AWAITING_ECHO:
        read_echo(client);
        return;
    case AWAITING_CLOSE:
        await_close(client);
    }
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: load echo|churn PORT CONNECTIONS BYTES WARMUP SECONDS PID\n");
        return 2;
    }
    connects_anew = strcmp(argv[1], "churn") == 0;
    prepare(argv + 2);
    client_t *all = calloc((size_t)connections, sizeof *all);
    if (!all)
        die("start");
    for (int i = 0; i < connections; i++) {
        all[i].at.slot = i;
        begin_client(&all[i]);
    }
    measure();
    return 0;
}
