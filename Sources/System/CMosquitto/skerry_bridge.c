#include "skerry_bridge.h"

#include <mosquitto.h>
#include <stdio.h>

const char *skerry_mosquitto_version(void) {
    static char text[16];
    int major = 0, minor = 0, revision = 0;
    mosquitto_lib_version(&major, &minor, &revision);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, revision);
    return text;
}
