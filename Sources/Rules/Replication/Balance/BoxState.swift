/// Whether a box is there, on `st`, and what versions it speaks (FEDERATION.md §2.4, §2.6):
/// `1:status 2:protocol min 3:protocol max 4:features(fix64) 5:start counter 6:nonce(fix64) 7:version text`.
package struct BoxState: Sendable, Hashable {
    package enum Status: UInt64, Sendable, Hashable, CaseIterable {
        case online = 1
        /// It stops on purpose; nothing is wrong.
        case leaving = 2
        /// What its will says: the link broke.
        case offline = 3
    }

    package static let bytesMax = 1_024
    /// What this version speaks.
    package static let protocolMin: UInt64 = 1
    package static let protocolMax: UInt64 = 1

    package var status: Status
    package var protocolMin: UInt64
    package var protocolMax: UInt64
    package var features: UInt64
    package var start: StartMark
    package var version: String

    package init(
        _ status: Status, start: StartMark, version: String, protocolMin: UInt64 = Self.protocolMin, protocolMax: UInt64 = Self.protocolMax,
        features: UInt64 = 0
    ) {
        self.status = status
        self.start = start
        self.version = version
        self.protocolMin = protocolMin
        self.protocolMax = protocolMax
        self.features = features
    }

    package var payload: [UInt8] {
        var writer = FieldWriter(reserving: 96)
        writer.varint(1, self.status.rawValue)
        writer.varint(2, self.protocolMin)
        writer.varint(3, self.protocolMax)
        writer.fixed64(4, self.features)
        writer.varint(5, self.start.counter)
        writer.fixed64(6, self.start.nonce)
        writer.bytes(7, self.version.utf8.prefix(Heartbeat.versionBytesMax))
        return writer.bytes
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        guard payload.count <= Self.bytesMax else { throw EntryDecodeError(.tooLarge, at: 0) }
        let fields = try FieldMap(payload[...])
        guard let status = Status(rawValue: try fields.required(1)) else { throw EntryDecodeError(.badField, at: 1) }
        let version = try fields.text(7) ?? ""
        guard version.utf8.count <= Heartbeat.versionBytesMax else { throw EntryDecodeError(.badField, at: 7) }
        self.init(
            status, start: StartMark(counter: try fields.required(5), nonce: try fields.required(6)), version: version,
            protocolMin: fields.number(2) ?? 1, protocolMax: fields.number(3) ?? 1, features: fields.number(4) ?? 0)
    }

    /// Whether a box that speaks this and one of this version can talk.
    package var isCompatible: Bool { self.protocolMin <= Self.protocolMax && self.protocolMax >= Self.protocolMin }
}
