import SkerryModel

extension Settings {
    /// How the box stands to other boxes.
    package struct Federation: Sendable, Hashable {
        /// What people call this box; empty: the host name.
        package var name = ""
        /// Where other boxes reach its federation listener, as `address:port` or `address`; empty: every address of the machine.
        package var addresses: [String] = []
        /// How many other boxes must hold a message before its sender sees that it is replicated.
        package var copies = 1
        /// Topics of ordinary MQTT that may go to other boxes, and those that may not all the same.
        package var topics = ["#"]
        package var keptTopics: [String] = []
        /// Whether it announces itself to boxes on the same network, and listens for them.
        package var discovers = true
        package var blobCacheBytes = 256 << 20

        package init() {}
    }

    static let federationDeclarations: [Declaration] = [
        .flag("federation.enabled", \.federationPort.isEnabled, "Whether other boxes may be paired with this one, and links to them are kept."),
        .port(
            "federation.port", \.federationPort.port,
            "The port on which paired boxes reach this one, always with TLS and only with a certificate of the federation."),
        Declaration(key: "federation.name", form: "up to \(MemberEntry.nameBytesMax) bytes", text: "What people call this box. When empty: its host name.") {
            settings, value throws(InvalidValue) in
            guard value.utf8.count <= MemberEntry.nameBytesMax, !value.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) else {
                throw InvalidValue("must be a name of at most \(MemberEntry.nameBytesMax) bytes")
            }
            settings.federation.name = value
        } render: {
            $0.federation.name
        },
        Declaration(
            key: "federation.addresses", form: "addresses, or ADDRESS:PORT, with commas between",
            text:
                "Where other boxes reach this one. When empty: every address of the machine, with federation.port. Needed behind a router that forwards a port."
        ) { settings, value throws(InvalidValue) in
            settings.federation.addresses = try Self.addresses(value)
        } render: {
            $0.federation.addresses.joined(separator: ", ")
        },
        .number(
            "federation.copies", \.federation.copies, 1...31, "Other boxes that must hold a message before its sender sees the second check mark (replicated)."),
        .topicFilters("federation.topics", \.federation.topics, "Topics of ordinary MQTT messages that go to boxes where somebody listens to them."),
        .topicFilters("federation.topics_kept", \.federation.keptTopics, "Topics that stay on this box all the same."),
        .flag(
            "federation.discovery", \.federation.discovers,
            "Whether the box announces itself to boxes on the same network and listens for them (UDP multicast)."),
        .bytes(
            "federation.blob_cache_bytes", \.federation.blobCacheBytes, (1 << 20)...(1 << 40),
            "Bytes of media of other boxes that are kept here after somebody looked at them; the longest unused go first."),
    ]

    private static func addresses(_ text: String) throws(InvalidValue) -> [String] {
        if text.isEmpty { return [] }
        var addresses: [String] = []
        for piece in text.split(separator: ",") {
            let written = String(Trimming.trim(piece))
            if !AddressText.isAddress(written), try AddressText.place(written).port.fixed == nil {
                throw InvalidValue("must name one port for each address, as other boxes see it")
            }
            addresses.append(written)
        }
        guard addresses.count <= MemberEntry.endpointsMax else { throw InvalidValue("may hold at most \(MemberEntry.endpointsMax) addresses") }
        return addresses
    }
}
