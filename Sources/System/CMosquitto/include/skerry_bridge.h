#ifndef SKERRY_BRIDGE_H
#define SKERRY_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

// libmosquitto and OpenSSL, seen by Swift through opaque pointers only: a Swift file that saw the headers of OpenSSL beside those of the
// BoringSSL inside swift-nio-ssl would not compile. Every function about a link is called on one and the same thread, and none inside a callback.

// What all links of a box share: its certificate and key, and the authority it trusts.
typedef struct skerry_tls skerry_tls;
// One attempt at a link, and the link if it succeeds. Never used again after its end.
typedef struct skerry_link skerry_link;

// What a link tells, inside the calls below only. Text is valid inside the callback.
typedef struct {
    // CONNACK: 0, or a reason code of MQTT 5 with the peer's explanation.
    void (*connack)(void *owner, int reason, const char *text);
    void (*suback)(void *owner, const int *reasons, size_t count);
    void (*message)(void *owner, const char *topic, const uint8_t *payload, size_t bytes);
    // A PUBLISH is through: written (QoS 0) or acknowledged with a reason code (QoS 1).
    void (*published)(void *owner, int packet_id, int reason);
    // DISCONNECT of the peer: a reason code of MQTT 5.
    void (*disconnected)(void *owner, int reason);
} skerry_link_calls;

enum { SKERRY_LINK_DIALING = 0, SKERRY_LINK_SHAKING_HANDS = 1, SKERRY_LINK_SECURE = 2 };

const char *skerry_mosquitto_version(void);

// NULL when the PEM is of no use; `error` then says why.
skerry_tls *skerry_tls_new(const char *chain, const char *key, const char *authority, char *error, size_t error_bytes);
void skerry_tls_free(skerry_tls *tls);

// - peer: DER SubjectPublicKeyInfo of the only peer that is talked to.
// - wire_bytes_max: what may come from the peer without a message being whole.
// NULL without memory.
skerry_link *skerry_link_new(
    skerry_tls *tls, const char *client_id, const uint8_t *peer, size_t peer_bytes, size_t wire_bytes_max, int window, const skerry_link_calls *calls,
    void *owner);
void skerry_link_free(skerry_link *link);

// These return 0, or not when the link has come to its end: then `skerry_link_trouble` says why.
int skerry_link_will(skerry_link *link, const char *topic, const uint8_t *payload, size_t bytes);
// `address` is an IP address.
int skerry_link_dial(skerry_link *link, const char *address, int port, int keep_alive);
int skerry_link_run(skerry_link *link, int is_readable, int is_writable);
// Once a second: the keep-alive.
int skerry_link_second(skerry_link *link);
int skerry_link_subscribe(skerry_link *link, char *const *filters, size_t count);
// expiry: seconds; 0 = none.
int skerry_link_publish(
    skerry_link *link, const char *topic, const uint8_t *payload, size_t bytes, int qos, uint32_t expiry, int *packet_id);
int skerry_link_disconnect(skerry_link *link, int reason);

// -1 when there is none.
int skerry_link_descriptor(skerry_link *link);
int skerry_link_wants_write(skerry_link *link);
// Whether bytes have been read from the socket that no message was made of: `poll` does not know of them.
int skerry_link_has_more(skerry_link *link);
int skerry_link_stage(skerry_link *link);
// From now on nothing is read from the socket, or it is again.
void skerry_link_pause(skerry_link *link, int is_paused);
const char *skerry_link_trouble(skerry_link *link);

#endif
