extension Settings {
    static let mqttDeclarations: [Declaration] = [
        .flag("mqtt.enabled", \.mqtt.isEnabled, "MQTT over TCP without encryption."),
        .port("mqtt.port", \.mqtt.port, "The port of MQTT over TCP."),
        .flag("mqtts.enabled", \.mqtts.isEnabled, "MQTT over TLS."),
        .port("mqtts.port", \.mqtts.port, "The port of MQTT over TLS."),
        .topicFilters(
            "mqtt.anonymous", \.broker.anonymous,
            "Topic filters that clients without an account may publish and subscribe to, such as `sensors/#, public/#`. When empty every client needs an account."
        ),
        .number("mqtt.connections_max", \.broker.connectionsMax, 1...1_000_000, "Open MQTT connections; more are refused with 0x97 (quota exceeded)."),
        .bytes("mqtt.packet_bytes_max", \.broker.packetBytesMax, 1_024...268_435_456, "The largest packet; a larger one closes the connection with 0x95."),
        .number("mqtt.receive_max", \.broker.receiveMax, 1...65_535, "QoS 1 and 2 messages one client may have unacknowledged towards the box."),
        .number(
            "mqtt.in_flight_max", \.broker.inFlightMax, 1...65_535,
            "QoS 1 and 2 messages the box has unacknowledged towards one client; the rest waits in its queue."),
        .number("mqtt.topic_alias_max", \.broker.topicAliasMax, 0...65_535, "Topic aliases one client may define."),
        .number(
            "mqtt.keep_alive_seconds_max", \.broker.keepAliveSecondsMax, 1...65_535,
            "The longest keep-alive; a client that asks for more, or for none, is told this one."),
        .number("mqtt.session_seconds_max", \.broker.sessionSecondsMax, 0...4_294_967_294, "How long the session of an absent client is kept at most."),
        .number(
            "mqtt.queued_messages_max", \.broker.queuedMessagesMax, 1...10_000_000,
            "QoS 1 and 2 messages kept for one absent or slow client; beyond, new ones are dropped for that client, and mqtt.overflow says what their publisher hears."
        ),
        .bytes(
            "mqtt.queued_bytes_max", \.broker.queuedBytesMax, 4_096...(1 << 40),
            "Bytes of QoS 1 and 2 messages kept for one absent or slow client; beyond as with mqtt.queued_messages_max."),
        .choice(
            "mqtt.overflow", \.broker.overflow,
            "What the publisher hears when a receiver's queue is full: refuse is 0x97 (quota exceeded), drop is nothing. Everybody else gets the message either way."
        ),
        .number(
            "mqtt.sessions_max", \.broker.sessionsMax, 1...10_000_000, "Sessions kept for clients that come back, of all users; more are refused with 0x97."),
        .number(
            "mqtt.sessions_per_user_max", \.broker.sessionsPerUserMax, 1...10_000_000,
            "Sessions kept for clients that come back, of one user, and of all clients without an account together; more are refused with 0x97."),
        .number(
            "mqtt.retained_messages_max", \.broker.retainedMessagesMax, 0...100_000_000,
            "Retained messages; beyond, a new topic is not retained and its publisher hears 0x97."),
        .bytes(
            "mqtt.retained_bytes_max", \.broker.retainedBytesMax, 0...(1 << 40),
            "Bytes of retained messages and their topics; beyond as with mqtt.retained_messages_max."),
        .number("mqtt.levels_max", \.broker.levelsMax, 1...1_000, "Levels of a topic; more close the connection."),
        .number("mqtt.subscriptions_max", \.broker.subscriptionsMax, 1...1_000_000, "Subscriptions of one client; more are refused with 0x97."),
    ]
}
