extension Settings {
    /// Where MQTT is spoken, and what cannot change while it is.
    private static let mqttPlaces: [Declaration] = [
        .flag("mqtt.enabled", \.mqtt.isEnabled, "MQTT over TCP without encryption."),
        .port("mqtt.port", \.mqtt.port, "The port of MQTT over TCP."),
        .flag("mqtts.enabled", \.mqtts.isEnabled, "MQTT over TLS."),
        .port("mqtts.port", \.mqtts.port, "The port of MQTT over TLS."),
        .choice(
            "mqtts.client_certificates", \.mqtts.clients,
            "Whether clients of MQTT over TLS show a certificate. Who shows a good one is the user of the name in it (tls.client_name) and needs no password."),
        .flag(
            "mqtt.scram", \.broker.offersScram,
            "Sign-in by SCRAM-SHA-256, for MQTT 5 clients that do not want to show their password; ready for a user after their next sign-in with it. Weakens passwords on a stolen disk."
        ),
    ]

    /// What may change at any time. Each connection keeps what it was told in CONNACK.
    private static let mqttLimits: [Declaration] = [
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
            "QoS 1 and 2 messages kept for one absent or slow client; mqtt.queue_policy says what happens beyond."
        ),
        .bytes(
            "mqtt.queued_bytes_all_max", \.broker.queuedBytesAllMax, 4_096...(1 << 40),
            "Bytes of QoS 1 and 2 messages kept for all absent and slow clients together; beyond as with mqtt.queued_messages_max, but a client for whom "
                + "nothing waits gets a message all the same."),
        .bytes(
            "mqtt.queued_bytes_max", \.broker.queuedBytesMax, 4_096...(1 << 40),
            "Bytes of QoS 1 and 2 messages kept for one absent or slow client; beyond as with mqtt.queued_messages_max."),
        .choice(
            "mqtt.queue_policy", \.broker.overflow,
            "What happens to a QoS 1 or 2 message when the queue of a receiver is full: refuse drops it for that receiver and its publisher hears 0x97 (quota "
                + "exceeded); drop_new drops it for that receiver in silence; drop_oldest drops the oldest messages that wait for the receiver and are not sent "
                + "yet. The listener of the publisher decides. Everybody else gets the message either way."),
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
        .number(
            "mqtt.subscriptions_per_packet_max", \.broker.subscriptionsPerPacketMax, 1...1_000_000,
            "Filters of one SUBSCRIBE or UNSUBSCRIBE; more close the connection with 0x97."),
        .number(
            "mqtt.repeated_properties_max", \.broker.repeatedPropertiesMax, 0...1_000_000,
            "User properties and subscription identifiers of one packet; more close the connection with 0x97."),
        .number("mqtt.connect_burst", \.broker.connectBurst, 1...1_000_000, "CONNECTs from one address at once; more are refused with 0x9F."),
        .number("mqtt.connects_per_second", \.broker.connectsPerSecond, 1...1_000_000, "CONNECTs from one address each second for long."),
        .number("mqtt.subscriptions_max", \.broker.subscriptionsMax, 1...1_000_000, "Subscriptions of one client; more are refused with 0x97."),
        .number(
            "mqtt.sys_seconds", \.broker.systemSeconds, 0...86_400,
            "Seconds between two publications of what has changed of $SYS/broker/…, for administrators; 0 publishes nothing, and a new subscriber is told all the same."
        ),
    ]

    static let mqttDeclarations: [Declaration] = Self.mqttPlaces + Self.mqttLimits.map { $0.live() }
}
