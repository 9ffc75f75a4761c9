/* The load generator over TLS: as load.c, with OpenSSL between two memory BIOs; prints one JSON object.
 *
 *     tls_load echo      PORT CONNECTIONS BYTES WARMUP SECONDS PID     connections stay open
 *     tls_load handshake PORT CONNECTIONS BYTES WARMUP SECONDS PID     connect, a full handshake, one message and its
 *                                                                      echo, orderly close, again
 *
 * What counts, and when, is in loop.h. Every server gets the same to do: this client offers one version, one cipher and
 * one group of the key exchange, never a session to resume, and takes any certificate.
 *
 * Facts about OpenSSL's libssl, and what they mean for us:
 *   - Over a socket it would make a system call for each record that it writes, and two for each that it reads. Over
 *     memory BIOs there is one for whatever there is, so that the generator costs less than what it measures.
 *   - Session tickets come behind the handshake, with the first message's echo or before: SSL_read takes them.
 *   - An orderly end is close_notify and then FIN, in both directions. What comes after our close_notify is not decrypted:
 *     that it ends by FIN and not by reset is what counts. */
#define _GNU_SOURCE
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "loop.h"

enum { READ_SIZE = 262144 };
static const char *const CIPHER = "TLS_AES_256_GCM_SHA384";
static const char *const GROUP = "X25519";

typedef enum { CONNECTING, SHAKING_HANDS, AWAITING_ECHO, AWAITING_CLOSE } state_t;

typedef struct {
    connection_t at;
    state_t state;
    SSL *ssl;
    BIO *incoming;
    BIO *outgoing;
    size_t sent;        /* of the records in `outgoing` */
    size_t received;    /* of the echo */
} client_t;

static SSL_CTX *context;
static char records[READ_SIZE];
static char sink[READ_SIZE];

static void die_of_tls(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, ERR_reason_error_string(ERR_peek_last_error()));
    exit(1);
}

static bool wants_more(client_t *client, int returned)
{
    return SSL_get_error(client->ssl, returned) == SSL_ERROR_WANT_READ;
}

/* Send the records that there are; EPOLLOUT tells when to go on. */
static void flush(client_t *client)
{
    char *data;
    size_t length = (size_t)BIO_get_mem_data(client->outgoing, &data);
    if (length == 0)
        return;
    ssize_t sent = send(client->at.fd, data + client->sent, length - client->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("send");
    if (sent > 0)
        client->sent += (size_t)sent;
    bool whole = client->sent == length;
    if (whole) {
        client->sent = 0;
        (void)BIO_reset(client->outgoing);
    }
    watch(&client->at, whole ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static void begin_client(client_t *client)
{
    client->state = CONNECTING;
    begin_connection(&client->at);
}

static void begin_message(client_t *client)
{
    client->state = AWAITING_ECHO;
    client->received = 0;
    if (SSL_write(client->ssl, message, (int)size) != (int)size)
        die_of_tls("write");
    flush(client);
}

static void shake_hands(client_t *client)
{
    int returned = SSL_do_handshake(client->ssl);
    if (returned != 1 && !wants_more(client, returned))
        die_of_tls("handshake");
    if (returned == 1)
        begin_message(client);
    else
        flush(client);
}

static void begin_tls(client_t *client)
{
    client->ssl = SSL_new(context);
    client->incoming = BIO_new(BIO_s_mem());
    client->outgoing = BIO_new(BIO_s_mem());
    if (!client->ssl || !client->incoming || !client->outgoing)
        die_of_tls("start");
    SSL_set_bio(client->ssl, client->incoming, client->outgoing);
    SSL_set_connect_state(client->ssl);
    client->sent = 0;
    client->state = SHAKING_HANDS;
    shake_hands(client);
}

static void say_goodbye(client_t *client)
{
    client->state = AWAITING_CLOSE;
    SSL_shutdown(client->ssl);
    flush(client);
    shutdown(client->at.fd, SHUT_WR);
}

static void await_close(client_t *client, ssize_t got)
{
    if (got > 0 || !has_closed(&client->at, got))
        return;
    SSL_free(client->ssl);
    count(&client->at);
    begin_client(client);
}

static void read_echo(client_t *client)
{
    while (client->received < size) {
        size_t left = size - client->received;
        int got = SSL_read(client->ssl, sink, (int)(left < sizeof sink ? left : sizeof sink));
        if (got <= 0) {
            if (!wants_more(client, got))
                die_of_tls("read");
            return;
        }
        compare(sink, client->received, (size_t)got);
        client->received += (size_t)got;
    }
    if (connects_anew) {
        say_goodbye(client);
        return;
    }
    count(&client->at);
    begin_message(client);
}

static void receive(client_t *client)
{
    ssize_t got = recv(client->at.fd, records, sizeof records, 0);
    if (client->state == AWAITING_CLOSE) {
        await_close(client, got);
        return;
    }
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        errno = got ? errno : 0;
        die("the server hung up");
    }
    if (BIO_write(client->incoming, records, (int)got) != (int)got)
        die_of_tls("start");
    if (client->state == SHAKING_HANDS)
        shake_hands(client);
    else
        read_echo(client);
}

static void serve(connection_t *connection, uint32_t events)
{
    client_t *client = (client_t *)connection;
    if (client->state == CONNECTING) {
        finish_connect(connection);
        begin_tls(client);
        return;
    }
    if (events & EPOLLOUT)
        flush(client);
    if (events & ~(uint32_t)EPOLLOUT)
        receive(client);
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *made = SSL_CTX_new(TLS_client_method());
    if (!made || !SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION) || !SSL_CTX_set_ciphersuites(made, CIPHER) ||
        !SSL_CTX_set1_groups_list(made, GROUP))
        die_of_tls("start");
    SSL_CTX_set_verify(made, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    return made;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: tls_load echo|handshake PORT CONNECTIONS BYTES WARMUP SECONDS PID\n");
        return 2;
    }
    connects_anew = strcmp(argv[1], "handshake") == 0;
    prepare(argv + 2);
    context = make_context();
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
