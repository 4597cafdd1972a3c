package import SkerryModel

/// One run of a box, told apart from all its others (FEDERATION.md §2.1): how often it has started, and a random number of this start.
package struct StartMark: Sendable, Hashable {
    package var counter: UInt64
    package var nonce: UInt64

    package init(counter: UInt64, nonce: UInt64) {
        self.counter = counter
        self.nonce = nonce
    }
}

/// Another box that a box hears itself, and how long ago it did so last.
package struct PeerSighting: Sendable, Hashable {
    package var box: BoxID
    /// Up to 255.
    package var ageSeconds: UInt8

    package init(box: BoxID, ageSeconds: UInt8) {
        self.box = box
        self.ageSeconds = ageSeconds
    }
}

/// What a box says of itself every five seconds (FEDERATION.md §2.4, §5), on `hb`:
/// `1:version 2:start counter 3:nonce(fix64) 4:uptime ms 5:physical ms(fix64) 6:hlc(fix64) 7:clock 8:connections 9:connections max 10:weight‰ 11:memory‰
/// 12:processor‰ 13:descriptors‰ 14:loop lag ms 15:flags 16:behind 17:quarantine 18:online users 19:presence hash(fix64) 20:version text
/// 21:endpoint… 22:peers seen`.
package struct Heartbeat: Sendable, Hashable {
    package static let everyMilliseconds: UInt64 = 5_000
    /// Bytes of an encoded one; a longer one is dropped.
    package static let bytesMax = 8 * 1024
    package static let peersMax = 64
    /// More connections than a machine can have; what is said beyond is cut.
    private static let connectionsMax: UInt64 = 1 << 32
    package static let versionBytesMax = 64

    package var start: StartMark
    /// Rises within a run: an older heartbeat that comes late says nothing new.
    package var uptimeMilliseconds: UInt64
    package var physicalMilliseconds: UInt64
    package var hlc: HLC
    package var clock: BoxClockState
    package var load: BoxLoad
    package var isDraining = false
    /// Entries of other boxes that it knows of and does not hold.
    package var behind: UInt64 = 0
    package var quarantine: QuarantineReason?
    package var onlineUsers = 0
    /// Over everybody it has announced to be online there; see `PresenceHash`.
    package var presenceHash: UInt64 = 0
    package var version = ""
    package var endpoints: [BoxEndpoint] = []
    package var peers: [PeerSighting] = []

    package init(
        start: StartMark, uptimeMilliseconds: UInt64, physicalMilliseconds: UInt64, hlc: HLC = HLC(rawValue: 0), clock: BoxClockState = .set,
        load: BoxLoad = BoxLoad()
    ) {
        self.start = start
        self.uptimeMilliseconds = uptimeMilliseconds
        self.physicalMilliseconds = physicalMilliseconds
        self.hlc = hlc
        self.clock = clock
        self.load = load
    }
}

extension Heartbeat {
    private static let diskLow: UInt64 = 1
    private static let draining: UInt64 = 2

    package var payload: [UInt8] {
        var writer = FieldWriter(reserving: 512)
        writer.varint(1, 1)
        writer.varint(2, self.start.counter)
        writer.fixed64(3, self.start.nonce)
        writer.varint(4, self.uptimeMilliseconds)
        writer.fixed64(5, self.physicalMilliseconds)
        writer.fixed64(6, self.hlc.rawValue)
        writer.varint(7, self.clock.wireValue)
        let load = self.load
        writer.varint(8, UInt64(clamping: load.connections))
        writer.varint(9, UInt64(clamping: load.connectionsMax))
        writer.varint(10, Self.perMille(load.weight))
        writer.varint(11, Self.perMille(load.memory))
        writer.varint(12, Self.perMille(load.processor))
        writer.varint(13, Self.perMille(load.descriptors))
        writer.varint(14, Self.whole(load.loopLagMilliseconds))
        writer.varint(15, (load.isDiskLow ? Self.diskLow : 0) | (self.isDraining ? Self.draining : 0))
        writer.varint(16, self.behind)
        if let quarantine = self.quarantine { writer.text(17, quarantine.rawValue) }
        writer.varint(18, UInt64(clamping: self.onlineUsers))
        writer.fixed64(19, self.presenceHash)
        writer.bytes(20, self.version.utf8.prefix(Self.versionBytesMax))
        for endpoint in self.endpoints.prefix(BoxEndpoint.countMax) { writer.bytes(21, endpoint.encoded) }
        var peers: [UInt8] = []
        for peer in self.peers.prefix(Self.peersMax) {
            peer.box.append(to: &peers)
            peers.append(peer.ageSeconds)
        }
        writer.bytes(22, peers)
        return writer.bytes
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        guard payload.count <= Self.bytesMax else { throw EntryDecodeError(.tooLarge, at: 0) }
        var numbers: [UInt64: UInt64] = [:]
        var texts: [UInt64: ArraySlice<UInt8>] = [:]
        var endpoints: [BoxEndpoint] = []
        var reader = FieldReader(payload[...])
        while let (field, value) = try reader.next() {
            switch value {
            case .number(let number): if field <= 64 { numbers[field] = number }
            case .bytes(let slice):
                if field == 21 {
                    guard endpoints.count < BoxEndpoint.countMax else { throw EntryDecodeError(.tooLarge, at: 21) }
                    endpoints.append(try BoxEndpoint(decoding: slice))
                } else if field <= 64 {
                    texts[field] = slice
                }
            }
        }
        guard let counter = numbers[2], let nonce = numbers[3], let uptime = numbers[4], let physical = numbers[5] else {
            throw EntryDecodeError(.missingField, at: 2)
        }
        self.init(
            start: StartMark(counter: counter, nonce: nonce), uptimeMilliseconds: uptime, physicalMilliseconds: physical,
            hlc: HLC(rawValue: numbers[6] ?? 0), clock: BoxClockState(wireValue: numbers[7] ?? 0))
        let flags = numbers[15] ?? 0
        self.load = BoxLoad(
            connections: Int(min(numbers[8] ?? 0, Self.connectionsMax)), connectionsMax: Int(min(numbers[9] ?? 0, Self.connectionsMax)),
            weight: max(BoxScore.weightMin, min(BoxScore.weightMax, Self.share(numbers[10] ?? 1_000))), memory: Self.share(numbers[11]),
            processor: Self.share(numbers[12]), descriptors: Self.share(numbers[13]), loopLagMilliseconds: Double(min(numbers[14] ?? 0, 3_600_000)),
            isDiskLow: flags & Self.diskLow != 0)
        self.isDraining = flags & Self.draining != 0
        self.behind = numbers[16] ?? 0
        // A reason that only a newer version knows still keeps people away from that box.
        self.quarantine = texts[17].map { QuarantineReason(rawValue: String(decoding: $0, as: UTF8.self)) ?? .version }
        self.onlineUsers = Int(min(numbers[18] ?? 0, Self.connectionsMax))
        self.presenceHash = numbers[19] ?? 0
        if let version = texts[20] {
            guard version.count <= Self.versionBytesMax, let text = String(validating: version, as: UTF8.self) else {
                throw EntryDecodeError(.badField, at: 20)
            }
            self.version = text
        }
        self.endpoints = endpoints
        self.peers = try Self.sightings(texts[22] ?? [])
    }

    private static func sightings(_ bytes: ArraySlice<UInt8>) throws(EntryDecodeError) -> [PeerSighting] {
        let width = BoxID.byteCount + 1
        guard bytes.count % width == 0, bytes.count / width <= Self.peersMax else { throw EntryDecodeError(.badField, at: 22) }
        var sightings: [PeerSighting] = []
        var rest = bytes
        while let age = rest.dropFirst(BoxID.byteCount).first, let box = BoxID(rest.prefix(BoxID.byteCount)) {
            sightings.append(PeerSighting(box: box, ageSeconds: age))
            rest = rest.dropFirst(width)
        }
        return sightings
    }

    private static func perMille(_ share: Double) -> UInt64 { Self.whole(share * 1_000) }
    private static func whole(_ value: Double) -> UInt64 { value.isFinite && value > 0 ? UInt64(min(value.rounded(), 1e9)) : 0 }
    private static func share(_ perMille: UInt64?) -> Double { Double(min(perMille ?? 0, 1_000_000)) / 1_000 }
}

extension BoxClockState {
    fileprivate var wireValue: UInt64 {
        switch self {
        case .unset: 0
        case .set: 1
        case .ntp: 2
        }
    }

    fileprivate init(wireValue: UInt64) {
        switch wireValue {
        case 1: self = .set
        case 2: self = .ntp
        default: self = .unset
        }
    }
}

extension BoxEndpoint {
    /// `1:kind 2:address 3:port`.
    fileprivate var encoded: [UInt8] {
        var writer = FieldWriter(reserving: 48)
        writer.bytes(1, self.kind.utf8.prefix(Self.kindBytesMax))
        writer.bytes(2, self.address.utf8.prefix(Self.addressBytesMax))
        writer.varint(3, UInt64(clamping: self.port))
        return writer.bytes
    }

    fileprivate init(decoding bytes: ArraySlice<UInt8>) throws(EntryDecodeError) {
        let fields = try FieldMap(bytes)
        let (kind, address, port) = (try fields.requiredText(1), try fields.requiredText(2), try fields.required(3))
        // It reaches pages and server references: an address or a host name, and nothing that reads as more.
        guard kind.utf8.count <= Self.kindBytesMax, kind.utf8.allSatisfy({ 97...122 ~= $0 }), !kind.isEmpty else {
            throw EntryDecodeError(.badField, at: 1)
        }
        guard (1...Self.addressBytesMax).contains(address.utf8.count), address.utf8.allSatisfy(Self.isOfAddress) else {
            throw EntryDecodeError(.badField, at: 2)
        }
        guard 1...65_535 ~= port else { throw EntryDecodeError(.badField, at: 3) }
        self.init(kind: kind, address: address, port: Int(port))
    }

    private static func isOfAddress(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 58: true
        default: false
        }
    }
}
