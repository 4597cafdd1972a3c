#include "skerry_bridge.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// Bytes that one turn reads from a link's socket, so that a busy peer does not keep the others waiting.
#define TURN_BYTES (64 * 1024)
// Bytes on the wire that a message may have beside topic and payload: headers of MQTT and of TLS records.
#define MESSAGE_OVERHEAD_BYTES 128
#define TROUBLE_BYTES 200

struct skerry_tls {
    SSL_CTX *context;
};

struct skerry_link {
    struct mosquitto *client;
    skerry_link_calls calls;
    void *owner;
    uint8_t *peer;
    size_t peer_bytes;
    // The handshake whose reads are being counted.
    SSL *watched;
    int is_through, is_connected, is_paused;
    size_t wire_bytes_max, wire_bytes, turn_bytes;
    // Why it ended: what was found first is the cause.
    char trouble[TROUBLE_BYTES];
};

// Whose turn it is: libmosquitto makes the handshake's state itself and does not tell it for whom. A link is only ever used on its bridge's thread.
static _Thread_local skerry_link *turn;

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start(void) {
    mosquitto_lib_init();
    // Neither OpenSSL nor every version of libmosquitto asks the kernel to leave the signal out.
    signal(SIGPIPE, SIG_IGN);
}

const char *skerry_mosquitto_version(void) {
    static char text[32];
    int major = 0, minor = 0, revision = 0;
    mosquitto_lib_version(&major, &minor, &revision);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, revision);
    return text;
}

// Letters that may stand in a log; what a peer says is cut short.
static void copy_text(char *to, size_t to_bytes, const char *from) {
    size_t length = 0;
    for (; length + 1 < to_bytes && from[length]; length++) to[length] = from[length] < 32 || from[length] > 126 ? '?' : from[length];
    to[length] = 0;
}

static void note(skerry_link *link, const char *text) {
    if (link && !link->trouble[0]) copy_text(link->trouble, sizeof link->trouble, text);
}

static void begin(skerry_link *link) {
    turn = link;
    link->turn_bytes = 0;
    errno = 0;
}

// Whether the link has come to its end.
static int finish(skerry_link *link, int result) {
    turn = NULL;
    if (result == MOSQ_ERR_SUCCESS && mosquitto_socket(link->client) >= 0) return 0;
    note(link, result == MOSQ_ERR_SUCCESS ? "the connection was closed" : mosquitto_strerror(result));
    return 1;
}

// MARK: TLS

// Chain to the federation's CA, whatever the clock says, and the very key that is expected.
static int verify(X509_STORE_CTX *store, void *unused) {
    (void)unused;
    if (X509_verify_cert(store) != 1) {
        note(turn, X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
        return 0;
    }
    uint8_t *key = NULL;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    int bytes = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &key) : -1;
    int is_expected = turn && bytes > 0 && (size_t)bytes == turn->peer_bytes && memcmp(key, turn->peer, turn->peer_bytes) == 0;
    OPENSSL_free(key);
    if (!is_expected) {
        note(turn, "another box answers at this address");
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    }
    return is_expected;
}

// The box's own certificate and those up to the CA, or the CA's.
static int add_certificates(SSL_CTX *context, const char *pem, int is_authority) {
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate = NULL;
    int count = 0, is_good = text != NULL;
    while (is_good && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        if (is_authority) {
            is_good = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
        } else {
            is_good = count == 0 ? SSL_CTX_use_certificate(context, certificate) == 1 : SSL_CTX_add1_chain_cert(context, certificate) == 1;
        }
        X509_free(certificate);
        count++;
    }
    BIO_free(text);
    return is_good && count > 0;
}

static int add_key(SSL_CTX *context, const char *pem) {
    BIO *text = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, NULL, NULL) : NULL;
    int is_good = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    BIO_free(text);
    return is_good;
}

skerry_tls *skerry_tls_new(const char *chain, const char *key, const char *authority, char *error, size_t error_bytes) {
    static const uint8_t protocols[] = {4, 'm', 'q', 't', 't'};
    pthread_once(&started, start);
    const char *wrong = NULL;
    skerry_tls *tls = calloc(1, sizeof *tls);
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (!context) {
        wrong = "no memory for TLS";
    } else if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 || SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols) != 0) {
        wrong = "this OpenSSL does not speak TLS 1.3";
    } else if (!add_certificates(context, chain, 0)) {
        wrong = "the box's certificate is not PEM";
    } else if (!add_key(context, key)) {
        wrong = "the box's key is not PEM, or not that of its certificate";
    } else if (!add_certificates(context, authority, 1)) {
        wrong = "the certificate of the federation's CA is not PEM";
    }
    ERR_clear_error();
    if (wrong) {
        copy_text(error, error_bytes, wrong);
        SSL_CTX_free(context);
        free(tls);
        return NULL;
    }
    // A box without a battery for its clock starts in 1970.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_NO_CHECK_TIME);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    tls->context = context;
    return tls;
}

void skerry_tls_free(skerry_tls *tls) {
    if (!tls) return;
    SSL_CTX_free(tls->context);
    free(tls);
}

// libmosquitto takes a packet as long as its sender says and goes on reading while there is something to read. So the reads are counted, and
// refused when a turn is over or a peer sends without end.
static long count_reads(BIO *bio, int operation, const char *data, size_t length, int argi, long argl, int result, size_t *processed) {
    (void)data, (void)length, (void)argi, (void)argl;
    skerry_link *link = (skerry_link *)BIO_get_callback_arg(bio);
    if (operation == BIO_CB_READ) {
        BIO_clear_retry_flags(bio);
        if (link->wire_bytes > link->wire_bytes_max) {
            note(link, "the peer sent more bytes than a message may have");
            return -1;
        }
        if (link->turn_bytes < TURN_BYTES && !(link->is_paused && link->is_connected)) return 1;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (operation == (BIO_CB_READ | BIO_CB_RETURN) && result > 0 && processed) {
        link->wire_bytes += *processed;
        link->turn_bytes += *processed;
    }
    return result;
}

static SSL *handshake(skerry_link *link) {
    SSL *ssl = mosquitto_ssl_get(link->client);
    if (ssl && ssl != link->watched) {
        BIO *bio = SSL_get_rbio(ssl);
        link->watched = ssl;
        BIO_set_callback_arg(bio, (char *)link);
        BIO_set_callback_ex(bio, count_reads);
    }
    return ssl;
}

// MARK: What libmosquitto tells

static void whole(skerry_link *link, size_t bytes) {
    size_t done = bytes + bytes / 64 + MESSAGE_OVERHEAD_BYTES;
    link->wire_bytes = link->wire_bytes > done ? link->wire_bytes - done : 0;
}

static void on_connack(struct mosquitto *client, void *context, int reason, int flags, const mosquitto_property *properties) {
    (void)client, (void)flags;
    skerry_link *link = context;
    char text[TROUBLE_BYTES] = "", *given = NULL;
    whole(link, 0);
    if (properties && mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &given, false) && given) copy_text(text, sizeof text, given);
    free(given);
    if (reason == 0) link->is_connected = 1;
    link->calls.connack(link->owner, reason, text);
}

static void on_suback(struct mosquitto *client, void *context, int id, int count, const int *reasons, const mosquitto_property *properties) {
    (void)client, (void)id, (void)properties;
    skerry_link *link = context;
    whole(link, 0);
    link->calls.suback(link->owner, reasons, count > 0 ? (size_t)count : 0);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message, const mosquitto_property *properties) {
    (void)client, (void)properties;
    skerry_link *link = context;
    size_t bytes = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
    whole(link, bytes + strlen(message->topic));
    link->calls.message(link->owner, message->topic, message->payload, bytes);
}

static void on_published(struct mosquitto *client, void *context, int id, int reason, const mosquitto_property *properties) {
    (void)client, (void)properties;
    skerry_link *link = context;
    whole(link, 0);
    link->calls.published(link->owner, id, reason);
}

// The library throws the peer's explanation away.
static void on_disconnected(struct mosquitto *client, void *context, int reason, const mosquitto_property *properties) {
    (void)client, (void)properties;
    skerry_link *link = context;
    // Smaller numbers are the library's own errors, which the call that found them returns.
    if (reason < 0x80) return;
    note(link, mosquitto_reason_string(reason));
    link->calls.disconnected(link->owner, reason);
}

static void on_log(struct mosquitto *client, void *context, int level, const char *text) {
    (void)client;
    if (level == MOSQ_LOG_ERR) note(context, text);
}

// MARK: Links

skerry_link *skerry_link_new(
    skerry_tls *tls, const char *client_id, const uint8_t *peer, size_t peer_bytes, size_t wire_bytes_max, int window, const skerry_link_calls *calls,
    void *owner) {
    skerry_link *link = calloc(1, sizeof *link);
    if (!link) return NULL;
    link->calls = *calls;
    link->owner = owner;
    link->wire_bytes_max = wire_bytes_max;
    link->peer = malloc(peer_bytes ? peer_bytes : 1);
    link->client = link->peer ? mosquitto_new(client_id, true, link) : NULL;
    if (!link->client) {
        free(link->peer);
        free(link);
        return NULL;
    }
    memcpy(link->peer, peer, peer_bytes);
    link->peer_bytes = peer_bytes;
    mosquitto_int_option(link->client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(link->client, MOSQ_OPT_SEND_MAXIMUM, window);
    mosquitto_int_option(link->client, MOSQ_OPT_RECEIVE_MAXIMUM, window);
    mosquitto_int_option(link->client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_void_option(link->client, MOSQ_OPT_SSL_CTX, tls->context);
    mosquitto_int_option(link->client, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    mosquitto_connect_v5_callback_set(link->client, on_connack);
    mosquitto_subscribe_v5_callback_set(link->client, on_suback);
    mosquitto_message_v5_callback_set(link->client, on_message);
    mosquitto_publish_v5_callback_set(link->client, on_published);
    mosquitto_disconnect_v5_callback_set(link->client, on_disconnected);
    mosquitto_log_callback_set(link->client, on_log);
    return link;
}

void skerry_link_free(skerry_link *link) {
    if (!link) return;
    turn = link;
    mosquitto_destroy(link->client);
    turn = NULL;
    free(link->peer);
    free(link);
}

int skerry_link_will(skerry_link *link, const char *topic, const uint8_t *payload, size_t bytes) {
    int result = mosquitto_will_set_v5(link->client, topic, (int)bytes, payload, 1, false, NULL);
    if (result != MOSQ_ERR_SUCCESS) note(link, mosquitto_strerror(result));
    return result != MOSQ_ERR_SUCCESS;
}

int skerry_link_dial(skerry_link *link, const char *address, int port, int keep_alive) {
    begin(link);
    int result = mosquitto_connect_bind_async(link->client, address, port, keep_alive, NULL);
    handshake(link);
    return finish(link, result);
}

// Whether the socket is through to the other side, and if not, whether it never will be.
static int is_through(skerry_link *link, int *error) {
    socklen_t bytes = sizeof *error;
    struct sockaddr_storage address;
    socklen_t address_bytes = sizeof address;
    int descriptor = mosquitto_socket(link->client);
    *error = 0;
    if (descriptor < 0 || getsockopt(descriptor, SOL_SOCKET, SO_ERROR, error, &bytes) != 0 || *error) return 0;
    return getpeername(descriptor, (struct sockaddr *)&address, &address_bytes) == 0;
}

int skerry_link_run(skerry_link *link, int is_readable, int is_writable) {
    int result = MOSQ_ERR_SUCCESS, error = 0;
    if (!link->is_through && !(link->is_through = is_through(link, &error))) {
        if (error) note(link, strerror(error));
        return error != 0;
    }
    begin(link);
    SSL *ssl = handshake(link);
    // It is loop_read that carries the handshake on, whichever way the socket is ready: on a wire that takes time, TCP is through only after the dialling
    // call has returned, and the first bytes of the handshake are still to be sent.
    if (ssl && !SSL_is_init_finished(ssl)) is_readable = is_readable || is_writable;
    else if (is_writable) result = mosquitto_loop_write(link->client, 1);
    ssl = handshake(link);
    while (result == MOSQ_ERR_SUCCESS && is_readable && mosquitto_socket(link->client) >= 0) {
        errno = 0;
        result = mosquitto_loop_read(link->client, 1);
        is_readable = mosquitto_socket(link->client) >= 0 && (ssl = handshake(link)) && SSL_pending(ssl) > 0 && !link->is_paused;
    }
    return finish(link, result);
}

int skerry_link_second(skerry_link *link) {
    begin(link);
    int result = mosquitto_loop_misc(link->client);
    return finish(link, result);
}

int skerry_link_subscribe(skerry_link *link, char *const *filters, size_t count) {
    begin(link);
    int options = MQTT_SUB_OPT_NO_LOCAL | MQTT_SUB_OPT_SEND_RETAIN_NEVER;
    int result = mosquitto_subscribe_multiple(link->client, NULL, (int)count, filters, 1, options, NULL);
    return finish(link, result);
}

int skerry_link_publish(
    skerry_link *link, const char *topic, const uint8_t *payload, size_t bytes, int qos, uint32_t expiry, int *packet_id) {
    mosquitto_property *properties = NULL;
    begin(link);
    int result = expiry ? mosquitto_property_add_int32(&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, expiry) : MOSQ_ERR_SUCCESS;
    if (result == MOSQ_ERR_SUCCESS) result = mosquitto_publish_v5(link->client, packet_id, topic, (int)bytes, payload, qos, false, properties);
    mosquitto_property_free_all(&properties);
    return finish(link, result);
}

int skerry_link_disconnect(skerry_link *link, int reason) {
    begin(link);
    int result = mosquitto_disconnect_v5(link->client, reason, NULL);
    return finish(link, result);
}

int skerry_link_descriptor(skerry_link *link) { return mosquitto_socket(link->client); }

int skerry_link_wants_write(skerry_link *link) {
    SSL *ssl = mosquitto_ssl_get(link->client);
    // libmosquitto goes on wanting to write while it waits for the other side's half of the handshake, which would keep a processor busy.
    if (ssl && link->is_through && !SSL_is_init_finished(ssl)) return SSL_want_write(ssl);
    return mosquitto_want_write(link->client);
}

int skerry_link_has_more(skerry_link *link) {
    SSL *ssl = mosquitto_ssl_get(link->client);
    return ssl && SSL_pending(ssl) > 0;
}

int skerry_link_stage(skerry_link *link) {
    SSL *ssl = mosquitto_ssl_get(link->client);
    if (!link->is_through) return SKERRY_LINK_DIALING;
    return ssl && SSL_is_init_finished(ssl) ? SKERRY_LINK_SECURE : SKERRY_LINK_SHAKING_HANDS;
}

void skerry_link_pause(skerry_link *link, int is_paused) { link->is_paused = is_paused; }

const char *skerry_link_trouble(skerry_link *link) { return link->trouble; }
