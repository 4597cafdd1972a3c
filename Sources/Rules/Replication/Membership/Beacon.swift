package import Crypto
package import SkerryModel

/// What a box says to its network by multicast (FEDERATION.md §3): where it is today, and whether it wants to join a federation. Signed with the box key, so
/// that nobody can speak for another; it is a hint all the same, and every link proves anew who is there.
///
/// `1:version 2:federation 3:box key 4:name 5:endpoint… 6:start nonce(fix64) 7:number 8:wants to join 15:signature`
package struct Beacon: Sendable, Hashable {
    package static let version: UInt64 = 1
    /// Bytes of a datagram: fits one Ethernet frame.
    package static let bytesMax = 1_200
    package static let endpointsMax = 4
    private static let magic = Array("SKB".utf8)

    /// Nil: it is of none.
    package var federation: FederationID?
    /// DER SubjectPublicKeyInfo.
    package var publicKey: [UInt8]
    package var name: String
    /// `address:port` of the federation listener.
    package var endpoints: [String]
    /// Drawn at random at the box's start: another one with the same key means a clone, or that it was restarted.
    package var startNonce: UInt64
    /// Rises with each beacon of a run: an old one that somebody repeats is known.
    package var number: UInt64
    package var wantsToJoin: Bool
    package var signature: [UInt8]

    package init(federation: FederationID?, publicKey: [UInt8], name: String, endpoints: [String], startNonce: UInt64, number: UInt64, wantsToJoin: Bool) {
        self.federation = federation
        self.publicKey = publicKey
        self.name = name
        self.endpoints = Array(endpoints.prefix(Self.endpointsMax))
        self.startNonce = startNonce
        self.number = number
        self.wantsToJoin = wantsToJoin
        self.signature = []
    }

    package var box: BoxID? { MemberRules.box(ofPublicKey: self.publicKey) }

    private var fields: [UInt8] {
        var writer = FieldWriter(reserving: 512)
        writer.varint(1, Self.version)
        if let federation = self.federation { writer.bytes(2, federation.bytes) }
        writer.bytes(3, self.publicKey)
        writer.text(4, self.name)
        for endpoint in self.endpoints { writer.text(5, endpoint) }
        writer.fixed64(6, self.startNonce)
        writer.varint(7, self.number)
        writer.flag(8, self.wantsToJoin)
        return writer.bytes
    }

    package var signedBytes: [UInt8] { Array("fed-beacon-1".utf8) + self.fields }

    /// Takes some time: not before everything cheaper was looked at.
    package var isSigned: Bool {
        guard let key = try? P256.Signing.PublicKey(derRepresentation: self.publicKey),
            let signature = try? P256.Signing.ECDSASignature(derRepresentation: self.signature)
        else { return false }
        return key.isValidSignature(signature, for: self.signedBytes)
    }

    package mutating func sign(_ key: P256.Signing.PrivateKey) {
        self.signature = (try? key.signature(for: self.signedBytes)).map { Array($0.derRepresentation) } ?? []
    }

    package var bytes: [UInt8] {
        var writer = FieldWriter(reserving: 96)
        writer.bytes(15, self.signature)
        return Self.magic + self.fields + writer.bytes
    }

    /// Whoever speaks something else on the port is refused by the first bytes.
    package init(_ bytes: [UInt8]) throws(EntryDecodeError) {
        guard bytes.count <= Self.bytesMax else { throw EntryDecodeError(.tooLarge, at: 0) }
        guard bytes.starts(with: Self.magic) else { throw EntryDecodeError(.badField, at: 0) }
        let body = bytes.dropFirst(Self.magic.count)
        let fields = try FieldMap(body)
        guard try fields.required(1) == Self.version else { throw EntryDecodeError(.badField, at: 1) }
        var federation: FederationID?
        if let slice = fields.slice(2) {
            guard slice.count == FederationID.byteCount, let id = FederationID(slice) else { throw EntryDecodeError(.badField, at: 2) }
            federation = id
        }
        self.init(
            federation: federation, publicKey: try fields.requiredBytes(3), name: try fields.text(4) ?? "", endpoints: [],
            startNonce: try fields.required(6), number: try fields.required(7), wantsToJoin: fields.flag(8))
        guard self.publicKey.count == MemberRules.publicKeyBytes, self.name.utf8.count <= MemberEntry.nameBytesMax else {
            throw EntryDecodeError(.badField, at: 3)
        }
        var reader = FieldReader(body)
        while let (field, value) = try reader.next() {
            guard field == 5, case .bytes(let slice) = value else { continue }
            guard self.endpoints.count < Self.endpointsMax, slice.count <= MemberEntry.endpointBytesMax,
                let text = String(validating: slice, as: UTF8.self), PairingToken.Address(text) != nil
            else { throw EntryDecodeError(.badField, at: 5) }
            self.endpoints.append(text)
        }
        self.signature = try fields.requiredBytes(15)
    }
}

/// What a box makes of the beacons it hears: how many it looks at, and which are news.
package struct BeaconBook: Sendable {
    package enum News: Sendable, Hashable {
        /// A member is at these addresses now.
        case endpoints(BoxID, [String])
        /// A box without a federation wants to join one.
        case wantsToJoin(BoxID)
        /// Somebody else on this network has this box's key.
        case twin
    }

    package struct Limits: Sendable, Hashable {
        /// Signatures that are checked: bucket, and refill a second. Further beacons are dropped.
        package var burst = 64
        package var perSecond = 16
        /// Boxes that are remembered; at the bound the one heard longest ago is forgotten.
        package var boxesMax = 128
        /// From one box, a beacon that comes earlier than that is dropped.
        package var pauseMilliseconds: UInt64 = 1_000

        package init() {}
    }

    private struct Heard: Sendable {
        var startNonce: UInt64
        var number: UInt64
        var endpoints: [String]
        var at: UInt64
    }

    private let box: BoxID
    private let startNonce: UInt64
    private let limits: Limits
    private var heard: [BoxID: Heard] = [:]
    private var left: Int
    private var filledAt: UInt64 = 0

    package init(box: BoxID, startNonce: UInt64, limits: Limits = Limits()) {
        self.box = box
        self.startNonce = startNonce
        self.limits = limits
        self.left = limits.burst
    }

    /// - Parameters:
    ///   - federation: this box's.
    ///   - isMember: whether a box is an active member of it.
    ///   - isSigned: checks the signature; asked last.
    /// - Returns: nil: nothing new, or nothing to be believed; `isDropped` tells the two apart.
    package mutating func hear(
        _ beacon: Beacon, federation: FederationID?, isMember: (BoxID) -> Bool, isDropped: inout Bool, isSigned: (Beacon) -> Bool, now: UInt64
    ) -> News? {
        isDropped = true
        guard let box = beacon.box else { return nil }
        if box == self.box {
            // Its own, back from the network.
            if beacon.startNonce == self.startNonce {
                isDropped = false
                return nil
            }
            guard self.take(now), isSigned(beacon) else { return nil }
            isDropped = false
            return .twin
        }
        let isOurs = federation != nil && beacon.federation == federation && isMember(box)
        guard isOurs || (beacon.wantsToJoin && beacon.federation == nil) else {
            // Of other people's federations; nothing is wrong with that.
            isDropped = false
            return nil
        }
        let last = self.heard[box]
        if let last {
            guard now >= last.at &+ self.limits.pauseMilliseconds else { return nil }
            guard beacon.startNonce != last.startNonce || beacon.number > last.number else { return nil }
        }
        guard self.take(now), isSigned(beacon) else { return nil }
        isDropped = false
        if last == nil, self.heard.count >= self.limits.boxesMax, let oldest = self.heard.min(by: { $0.value.at < $1.value.at })?.key {
            self.heard[oldest] = nil
        }
        self.heard[box] = Heard(startNonce: beacon.startNonce, number: beacon.number, endpoints: beacon.endpoints, at: now)
        if !isOurs { return .wantsToJoin(box) }
        return last?.endpoints == beacon.endpoints && last?.startNonce == beacon.startNonce ? nil : .endpoints(box, beacon.endpoints)
    }

    /// Boxes that are remembered.
    var count: Int { self.heard.count }

    private mutating func take(_ now: UInt64) -> Bool {
        let refill = (now &- self.filledAt) / 1_000
        if refill > 0 {
            self.left = min(self.limits.burst, self.left + Int(clamping: refill) * self.limits.perSecond)
            self.filledAt = now
        }
        guard self.left > 0 else { return false }
        self.left -= 1
        return true
    }
}
