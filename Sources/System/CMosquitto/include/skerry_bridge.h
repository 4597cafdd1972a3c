#ifndef SKERRY_BRIDGE_H
#define SKERRY_BRIDGE_H

// libmosquitto and OpenSSL, seen by Swift through opaque pointers only.
const char *skerry_mosquitto_version(void);

#endif
