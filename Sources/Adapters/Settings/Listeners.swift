package import SkerryModel

extension Settings {
    /// A listener for MQTT beside the usual ones, with limits of its own.
    package struct MQTTListener: Sendable, Hashable {
        package var name = ""
        /// Empty: the address of `bind`.
        package var address = ""
        package var port: PortRange = 0
        /// The network interface by which clients have to come; empty: any.
        package var interface = ""
        package var isTLS = false
        package var clients = ClientCertificates.off
        /// What applies to its clients: that of the whole box, but for what the listener sets itself.
        package var broker = Broker()
        /// Whether it says itself what clients without an account may use.
        package var hasOwnAnonymous = false

        package init() {}
    }

    /// Keys of `mqtt.…` that a listener may set for its own clients.
    static let listenerKeys: Set<String> = [
        "anonymous", "connections_max", "packet_bytes_max", "receive_max", "in_flight_max", "topic_alias_max", "keep_alive_seconds_max",
        "session_seconds_max", "levels_max", "subscriptions_max", "subscriptions_per_packet_max", "repeated_properties_max", "queue_policy",
        "connect_burst", "connects_per_second",
    ]

    private static let listenerPlaces: [Declaration] = [
        Declaration(
            key: "bind", form: "ADDRESS:PORT, [ADDRESS]:PORT or PORT; a range FIRST-LAST may stand for the port",
            text: "Where it listens. A port alone is on the address of `bind`. Of a range it takes the lowest port that is free."
        ) {
            settings, value throws(InvalidValue) in
            (settings.draftListener.address, settings.draftListener.port) = try AddressText.place(value)
        } render: {
            AddressText.text($0.draftListener.address, $0.draftListener.port)
        },
        Declaration(key: "interface", form: "the name of a network interface", text: "Only clients that come by this network interface, such as eth0.") {
            settings, value throws(InvalidValue) in
            guard value.utf8.count <= 15, value.utf8.allSatisfy({ 33...126 ~= $0 && $0 != 47 }) else {
                throw InvalidValue("must be the name of a network interface, such as eth0")
            }
            settings.draftListener.interface = value
        } render: {
            $0.draftListener.interface
        },
        .flag("tls", \.draftListener.isTLS, "Whether it speaks TLS."),
        .choice("client_certificates", \.draftListener.clients, "As mqtts.client_certificates."),
    ]

    private static let listenerLimits: [Declaration] = Self.mqttDeclarations.compactMap { declaration in
        let leaf = String(declaration.key.dropFirst("mqtt.".count))
        guard declaration.key.hasPrefix("mqtt."), Self.listenerKeys.contains(leaf) else { return nil }
        return declaration.renamed(leaf)
    }

    static let listenerFamily = Family(
        prefix: "mqtt.listeners.", noun: "listener",
        text: "More listeners for MQTT, each with a NAME of lower-case letters and digits, and with limits of its own. What a listener does not set is as "
            + "set for mqtt.",
        members: Settings.listenerPlaces + Settings.listenerLimits, required: ["bind"],
        begin: { settings, name in
            settings.draftListener = MQTTListener()
            settings.draftListener.name = name
        },
        finish: { settings, draft, written in
            var listener = draft.draftListener
            listener.broker = draft.broker
            listener.hasOwnAnonymous = written.contains("anonymous")
            settings.listeners.append(listener)
        },
        sets: { settings in
            settings.listeners.map { listener in
                var draft = settings
                draft.draftListener = listener
                draft.broker = listener.broker
                return (listener.name, draft)
            }
        })

    static let certificateFamily = Family(
        prefix: "tls.extra.", noun: "certificate",
        text: "More certificates, for clients that ask for one of the DNS names in them (SNI). The NAME is for the settings alone.",
        members: [
            .path("certificate", \.draftPair.certificate, "A PEM file with the certificate and its chain.").live(),
            .path("key", \.draftPair.key, "A PEM file with its private key.").live(),
        ], required: ["certificate", "key"],
        begin: { settings, name in settings.draftPair = TLS.Extra(name: name) },
        finish: { settings, draft, _ in settings.tls.extra.append(draft.draftPair) },
        sets: { settings in
            settings.tls.extra.map { pair in
                var draft = settings
                draft.draftPair = pair
                return (pair.name, draft)
            }
        })
}
