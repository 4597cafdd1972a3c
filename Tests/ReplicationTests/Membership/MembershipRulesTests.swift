import Crypto
import SkerryModel
import Testing

@testable import Replication

@Suite struct MembershipRulesTests {
    static func row(_ number: UInt8 = 1, version: UInt64 = 1, standing: BoxStanding = .active, signature: [UInt8] = [1]) -> MemberEntry {
        MemberEntry(
            box: BoxID([UInt8](repeating: number, count: 10))!, standing: standing, name: "box", publicKey: [UInt8](repeating: number, count: 91),
            logKey: [UInt8](repeating: number, count: 32), endpoints: ["10.0.0.1:8884"], version: version, signature: signature)
    }

    @Test("removed is for ever; else the greater version counts, and of equal ones the same on every box")
    func newer() {
        let (old, new) = (Self.row(version: 1), Self.row(version: 2))
        let removed = Self.row(version: 1, standing: .removed)
        #expect(MemberRules.newer(old, new) == new)
        #expect(MemberRules.newer(new, old) == new)
        #expect(MemberRules.newer(removed, new) == removed)
        #expect(MemberRules.newer(new, removed) == removed)
        let (left, right) = (Self.row(signature: [1]), Self.row(signature: [2]))
        #expect(MemberRules.newer(left, right) == MemberRules.newer(right, left))
        #expect(!MemberRules.replaces(old, old))
        #expect(!MemberRules.replaces(new, removed))
        #expect(MemberRules.replaces(removed, new))
        #expect(MemberRules.replaces(new, nil))
    }

    @Test("the next version is above the last one, and near the time")
    func versions() {
        #expect(MemberRules.nextVersion(after: nil, milliseconds: 5) == 5)
        #expect(MemberRules.nextVersion(after: Self.row(version: 4), milliseconds: 5) == 5)
        #expect(MemberRules.nextVersion(after: Self.row(version: 9), milliseconds: 5) == 10)
    }

    @Test("a row that is not well formed is told by its field")
    func faults() {
        let cases: [(String, (inout MemberEntry) -> Void)] = [
            ("publicKey", { $0.publicKey.removeLast() }), ("logKey", { $0.logKey.append(0) }), ("name", { $0.name = String(repeating: "x", count: 65) }),
            ("endpoints", { $0.endpoints = Array(repeating: "10.0.0.1:1", count: 9) }), ("endpoints", { $0.endpoints = [String(repeating: "1", count: 65)] }),
            ("reason", { $0.reason = String(repeating: "x", count: 257) }),
            ("cut", { $0.cut = [LogEpoch(origin: $0.box, stream: .control, epoch: 1): 5] }),
            (
                "cut",
                {
                    $0.standing = .removed
                    $0.cut = [LogEpoch(origin: BoxID([UInt8](repeating: 9, count: 10))!, stream: .control, epoch: 1): 5]
                }
            ),
        ]
        #expect(MemberRules.fault(Self.row()) == nil)
        for (field, change) in cases {
            var row = Self.row()
            change(&row)
            #expect(MemberRules.fault(row) == field)
        }
    }

    @Test("a cut names as many epochs as an entry holds, those with the most entries")
    func cut() throws {
        let box = Self.row().box
        var held: [LogEpoch: UInt64] = [:]
        for epoch in 1...1_000 { held[LogEpoch(origin: box, stream: .message, epoch: UInt64(epoch))] = UInt64(epoch) }
        let cut = MemberRules.cut(held)
        #expect(cut.count == MemberRules.cutMax)
        #expect(cut.values.min() == 201)
        var row = Self.row(standing: .removed)
        row.cut = cut
        let bytes = MemberCodec.encode(row)
        #expect(bytes.count < 16 * 1024)
        #expect(try MemberCodec.decode(bytes[...]) == row)
    }

    @Test("a name is cut at a character and has no control characters")
    func names() {
        #expect(MemberRules.name("kit\u{7}chen\n") == "kitchen")
        #expect(MemberRules.name(String(repeating: "厨", count: 40)).utf8.count == 63)
    }

    @Test("the words are six of 256 different ones, and differ with the key")
    func words() {
        #expect(FingerprintWords.list.count == 256)
        #expect(Set(FingerprintWords.list).count == 256)
        let one = FingerprintWords.text(publicKey: [1])
        #expect(one.split(separator: " ").count == 6)
        #expect(one != FingerprintWords.text(publicKey: [2]))
        #expect(one == Self.goldenWords)
    }

    private static let goldenWords = "flute cherry willow ivory cousin carbon"
}

@Suite struct PairingMessageTests {
    static func hello() -> PairingHello {
        var hello = PairingHello(
            token: [UInt8](repeating: 1, count: 8), request: [1, 2, 3], logKey: [UInt8](repeating: 2, count: 32), name: "kitchen",
            endpoints: ["10.0.0.2:1", "[fd00::2]:1"], software: "0.4", nonce: [UInt8](repeating: 3, count: 32), rowVersion: 9)
        hello.logProof = [4]
        hello.mac = [5]
        return hello
    }

    static let samples: [PairingMessage] =
        [
            .hello(hello()), .wait(name: "attic", words: "acorn album"),
            .welcome(
                PairingWelcome(
                    certificate: [1], authority: [2], members: [MembershipRulesTests.row(1), MembershipRulesTests.row(2)], federationMilliseconds: 77,
                    name: "attic")),
        ] + PairingRefusal.allCases.map { .refusal($0) }

    @Test("every message reads as it was written")
    func roundTrip() throws { for sample in Self.samples { #expect(try PairingMessage(sample.bytes) == sample) } }

    @Test("a message cut anywhere, or with any byte changed, is read as another or refused, never a crash")
    func damage() {
        for sample in Self.samples {
            let bytes = sample.bytes
            for index in bytes.indices {
                _ = try? PairingMessage(Array(bytes.prefix(index)))
                for change: UInt8 in [1, 0x80, 0xFF] {
                    var damaged = bytes
                    damaged[index] ^= change
                    _ = try? PairingMessage(damaged)
                }
            }
        }
    }

    @Test("what is too long, or has too many fields, is refused")
    func bounds() {
        #expect(throws: EntryDecodeError.self) { try PairingMessage([UInt8](repeating: 0, count: PairingMessage.frameBytesMax + 1)) }
        #expect(throws: EntryDecodeError.self) {
            try PairingMessage([UInt8](repeating: 0x10, count: 1).flatMap { _ in (0..<200).flatMap { _ in [0x10, 1] as [UInt8] } })
        }
        var hello = Self.hello()
        hello.name = String(repeating: "x", count: 65)
        #expect(throws: EntryDecodeError.self) { try PairingMessage(PairingMessage.hello(hello).bytes) }
        hello = Self.hello()
        hello.nonce = [1]
        #expect(throws: EntryDecodeError.self) { try PairingMessage(PairingMessage.hello(hello).bytes) }
        hello = Self.hello()
        hello.endpoints = Array(repeating: "10.0.0.1:1", count: 9)
        #expect(throws: EntryDecodeError.self) { try PairingMessage(PairingMessage.hello(hello).bytes) }
    }

    @Test("a welcome holds as many rows as a frame takes, and always the first ones")
    func manyRows() throws {
        var rows: [MemberEntry] = []
        for number in 0..<60 {
            var row = MembershipRulesTests.row(UInt8(number))
            row.endpoints = Array(repeating: String(repeating: "1", count: 64), count: 8)
            rows.append(row)
        }
        let message = PairingMessage.welcome(
            PairingWelcome(certificate: [], authority: [], members: rows, federationMilliseconds: 0, name: ""))
        #expect(message.bytes.count <= PairingMessage.frameBytesMax)
        guard case .welcome(let welcome) = try PairingMessage(message.bytes) else {
            Issue.record("not a welcome")
            return
        }
        #expect(welcome.members == Array(rows.prefix(welcome.members.count)))
        #expect((10..<60).contains(welcome.members.count))
    }

    @Test("the transcript depends on every field and on the certificate; the secret's proof on all of it")
    func transcript() {
        let hello = Self.hello()
        let base = hello.transcript(certificate: [1])
        var seen: Set<[UInt8]> = [base, hello.transcript(certificate: [2])]
        let changes: [(inout PairingHello) -> Void] = [
            { $0.protocolVersion = 2 }, { $0.token[0] = 9 }, { $0.request = [9] }, { $0.logKey[0] = 9 }, { $0.name = "cellar" }, { $0.endpoints = [] },
            { $0.software = "9" }, { $0.nonce[0] = 9 }, { $0.rowVersion = 1 },
        ]
        for change in changes {
            var other = hello
            change(&other)
            seen.insert(other.transcript(certificate: [1]))
        }
        #expect(seen.count == changes.count + 2)
        let (one, two) = (PairingSecret([1]), PairingSecret([2]))
        #expect(one.id != two.id)
        #expect(one.isGood(one.mac(base), for: base))
        #expect(!one.isGood(two.mac(base), for: base))
        #expect(!one.isGood(one.mac(base), for: base + [0]))
        #expect(!one.isGood([], for: base))
    }

    @Test("the text of every refusal says what to do")
    func refusals() { for refusal in PairingRefusal.allCases { #expect(refusal.error.detail.split(separator: " ").count > 8) } }
}

@Suite struct BeaconTests {
    private static let key = P256.Signing.PrivateKey()

    private static func beacon(
        _ key: P256.Signing.PrivateKey = BeaconTests.key, federation: FederationID? = nil, nonce: UInt64 = 1, number: UInt64 = 1, wants: Bool = true,
        endpoints: [String] = ["10.0.0.2:8884"]
    ) -> Beacon {
        var beacon = Beacon(
            federation: federation, publicKey: Array(key.publicKey.derRepresentation), name: "kitchen", endpoints: endpoints, startNonce: nonce,
            number: number, wantsToJoin: wants)
        beacon.sign(key)
        return beacon
    }

    private static let federation = FederationID([UInt8](repeating: 5, count: 10))!
    private static let me = BoxID([UInt8](repeating: 1, count: 10))!

    @Test("a beacon reads as it was written, fits a datagram, and every changed byte breaks its signature or its form")
    func roundTrip() throws {
        let beacon = Self.beacon(federation: Self.federation)
        #expect(try Beacon(beacon.bytes) == beacon)
        #expect(beacon.isSigned)
        #expect(beacon.bytes.count <= Beacon.bytesMax)
        for index in beacon.bytes.indices {
            var damaged = beacon.bytes
            damaged[index] ^= 1
            if let read = try? Beacon(damaged) { #expect(!read.isSigned, "byte \(index)") }
            _ = try? Beacon(Array(damaged.prefix(index)))
        }
        #expect(throws: EntryDecodeError.self) { try Beacon([UInt8](repeating: 0, count: Beacon.bytesMax + 1)) }
        #expect(throws: EntryDecodeError.self) { try Beacon(Self.beacon(endpoints: ["example.org:1"]).bytes) }
    }

    private static func hear(
        _ book: inout BeaconBook, _ beacon: Beacon, federation: FederationID? = BeaconTests.federation, members: Set<BoxID> = [], now: UInt64
    ) -> (BeaconBook.News?, isDropped: Bool) {
        var isDropped = false
        let news = book.hear(
            beacon, federation: federation, isMember: { members.contains($0) }, isDropped: &isDropped, isSigned: { $0.isSigned }, now: now)
        return (news, isDropped)
    }

    @Test("a member's addresses are news when they change; a repeated, old or early beacon is not")
    func member() throws {
        var book = BeaconBook(box: Self.me, startNonce: 99)
        let box = try #require(Self.beacon().box)
        func ours(_ number: UInt64, nonce: UInt64 = 1, _ endpoints: [String] = ["10.0.0.2:8884"]) -> Beacon {
            Self.beacon(federation: Self.federation, nonce: nonce, number: number, wants: false, endpoints: endpoints)
        }
        #expect(Self.hear(&book, ours(1), members: [box], now: 0).0 == .endpoints(box, ["10.0.0.2:8884"]))
        #expect(Self.hear(&book, ours(2), members: [box], now: 30_000) == (nil, false))
        #expect(Self.hear(&book, ours(3, ["10.0.0.3:1"]), members: [box], now: 30_500) == (nil, true), "too early")
        #expect(Self.hear(&book, ours(4, ["10.0.0.3:1"]), members: [box], now: 60_000).0 == .endpoints(box, ["10.0.0.3:1"]))
        #expect(Self.hear(&book, ours(1), members: [box], now: 90_000) == (nil, true), "an old one, said again")
        #expect(Self.hear(&book, ours(1, nonce: 2), members: [box], now: 120_000).0 == .endpoints(box, ["10.0.0.2:8884"]), "a new start")
        #expect(Self.hear(&book, ours(9), members: [], now: 150_000) == (nil, false), "no member")
    }

    @Test("a box that wants to join is news to boxes; one of another federation is nobody's business; a forged one is dropped")
    func others() throws {
        var book = BeaconBook(box: Self.me, startNonce: 99)
        let box = try #require(Self.beacon().box)
        #expect(Self.hear(&book, Self.beacon(), now: 0).0 == .wantsToJoin(box))
        #expect(Self.hear(&book, Self.beacon(federation: FederationID([UInt8](repeating: 6, count: 10)), number: 2), now: 9_000) == (nil, false))
        var forged = Self.beacon(P256.Signing.PrivateKey())
        forged.name = "cellar"
        #expect(Self.hear(&book, forged, now: 0) == (nil, true))
    }

    @Test("a box hears its own beacon without a word, and one with its key and another start is its twin")
    func twin() throws {
        let box = try #require(Self.beacon().box)
        var book = BeaconBook(box: box, startNonce: 1)
        #expect(Self.hear(&book, Self.beacon(nonce: 1), now: 0) == (nil, false))
        #expect(Self.hear(&book, Self.beacon(nonce: 2), now: 0).0 == .twin)
        var forged = Self.beacon(nonce: 3)
        forged.signature = Self.beacon(nonce: 4).signature
        #expect(Self.hear(&book, forged, now: 0) == (nil, true))
    }

    @Test("a flood is looked at no faster than the limit, and no more boxes are remembered than the limit")
    func flood() {
        var limits = BeaconBook.Limits()
        (limits.burst, limits.perSecond, limits.boxesMax) = (10, 2, 4)
        var book = BeaconBook(box: Self.me, startNonce: 99, limits: limits)
        var checked = 0
        func hear(_ now: UInt64) {
            let beacon = Self.beacon(P256.Signing.PrivateKey())
            var isDropped = false
            _ = book.hear(
                beacon, federation: nil, isMember: { _ in false }, isDropped: &isDropped,
                isSigned: { _ in
                    checked += 1
                    return true
                }, now: now)
        }
        for _ in 0..<50 { hear(500) }
        #expect(checked == 10)
        for _ in 0..<50 { hear(2_500) }
        #expect(checked == 14)
        #expect(book.count == 4)
    }
}
