import NIOCore
import SkerryModel
import Testing

@testable import Replication

/// Heartbeats, states and presence, as bytes.
struct BalanceCodecTests {
    private static func box(_ number: UInt8) throws -> BoxID { try #require(BoxID([UInt8](repeating: number, count: 10))) }

    private static func full() throws -> Heartbeat {
        var heartbeat = Heartbeat(
            start: StartMark(counter: 7, nonce: 0xFEED_FACE_CAFE_BEEF), uptimeMilliseconds: 123_456, physicalMilliseconds: 1_760_000_000_000,
            hlc: HLC(milliseconds: 1_760_000_000_001, counter: 3), clock: .ntp,
            load: BoxLoad(
                connections: 421, connectionsMax: 10_000, weight: 2.5, memory: 0.125, processor: 0.5, descriptors: 0.25, loopLagMilliseconds: 12,
                isDiskLow: true))
        heartbeat.isDraining = true
        heartbeat.behind = 9_000_000_000
        heartbeat.quarantine = .clone
        heartbeat.onlineUsers = 321
        heartbeat.presenceHash = .max
        heartbeat.version = "0.4.0"
        heartbeat.endpoints = [
            BoxEndpoint(kind: "http", address: "192.168.1.7", port: 8_080), BoxEndpoint(kind: "mqtts", address: "fd00::7", port: 8_883),
        ]
        heartbeat.peers = [PeerSighting(box: try Self.box(2), ageSeconds: 4), PeerSighting(box: try Self.box(3), ageSeconds: 255)]
        return heartbeat
    }

    @Test("a heartbeat is read as it was written")
    func heartbeat() throws {
        let full = try Self.full()
        #expect(try Heartbeat(decoding: full.payload) == full)
        #expect(full.payload.count < 300, "it goes out every five seconds")
        let empty = Heartbeat(start: StartMark(counter: 0, nonce: 0), uptimeMilliseconds: 0, physicalMilliseconds: 0)
        #expect(try Heartbeat(decoding: empty.payload) == empty)
    }

    @Test("what a newer version adds is passed over")
    func newer() throws {
        var writer = FieldWriter()
        writer.text(40, "news")
        writer.varint(41, 9)
        writer.fixed64(1_000, 9)
        #expect(try Heartbeat(decoding: Self.full().payload + writer.bytes) == Self.full())
        var reason = FieldWriter()
        reason.text(17, "haunted")
        #expect(try Heartbeat(decoding: Self.full().payload + reason.bytes).quarantine == .version, "a reason nobody knows keeps clients away all the same")
    }

    @Test("a heartbeat with too much, or of the wrong form, is refused")
    func refused() throws {
        let good = try Self.full().payload
        func refused(_ more: (inout FieldWriter) -> Void) -> Bool {
            var writer = FieldWriter()
            more(&writer)
            return (try? Heartbeat(decoding: good + writer.bytes)) == nil
        }
        #expect(refused { $0.bytes(21, [UInt8](repeating: 0xFF, count: 10)) })
        #expect(refused { $0.bytes(22, [UInt8](repeating: 1, count: 12)) }, "half a sighting")
        #expect(refused { $0.bytes(22, [UInt8](repeating: 1, count: 11 * 65)) }, "more boxes than a federation has")
        #expect(refused { $0.bytes(20, [UInt8](repeating: 65, count: 65)) })
        #expect(refused { $0.bytes(20, [0xC3, 0x28]) })
        #expect(refused { $0.bytes(30, [UInt8](repeating: 0, count: 8_192)) }, "larger than a heartbeat is")
        #expect((try? Heartbeat(decoding: [])) == nil)
        var many = Heartbeat(start: StartMark(counter: 1, nonce: 1), uptimeMilliseconds: 1, physicalMilliseconds: 1)
        many.endpoints = (0..<40).map { BoxEndpoint(kind: "http", address: "10.0.0.\($0)", port: 80) }
        #expect(try Heartbeat(decoding: many.payload).endpoints.count == BoxEndpoint.countMax, "the sender leaves out what is too much")
        var writer = FieldWriter()
        for endpoint in many.endpoints { writer.bytes(21, Self.endpoint("http", endpoint.address, 80)) }
        #expect((try? Heartbeat(decoding: writer.bytes)) == nil)
    }

    private static func endpoint(_ kind: String, _ address: String, _ port: UInt64) -> [UInt8] {
        var writer = FieldWriter()
        writer.text(1, kind)
        writer.text(2, address)
        writer.varint(3, port)
        return writer.bytes
    }

    @Test(
        "an endpoint is an address and a port and nothing that a page or a client could read as more",
        arguments: [
            ("http", "10.0.0.1/evil", 80), ("http", "user@host", 80), ("http", "a b", 80), ("http", "", 80), ("HTTP", "10.0.0.1", 80), ("", "10.0.0.1", 80),
            ("java script", "10.0.0.1", 80), ("http", "10.0.0.1", 0), ("http", "10.0.0.1", 65_536), ("http", "\u{202E}1.1.1.1", 80),
            ("http", String(repeating: "a", count: 65), 80), ("abcdefghijklmnopq", "10.0.0.1", 80),
        ] as [(String, String, UInt64)])
    func endpoints(_ kind: String, _ address: String, _ port: UInt64) throws {
        var writer = FieldWriter()
        writer.bytes(21, Self.endpoint(kind, address, port))
        let plain = Heartbeat(start: StartMark(counter: 1, nonce: 1), uptimeMilliseconds: 1, physicalMilliseconds: 1)
        #expect(throws: EntryDecodeError.self) { try Heartbeat(decoding: plain.payload + writer.bytes) }
    }

    @Test("numbers from outside are cut to what they can mean")
    func numbers() throws {
        var writer = FieldWriter()
        for field in [8, 9, 10, 11, 12, 13, 14, 16, 18] as [UInt64] { writer.varint(field, .max) }
        let plain = Heartbeat(start: StartMark(counter: 1, nonce: 1), uptimeMilliseconds: 1, physicalMilliseconds: 1)
        let huge = try Heartbeat(decoding: plain.payload + writer.bytes)
        #expect(huge.load.weight == BoxScore.weightMax)
        #expect(huge.load.connections == 1 << 32)
        #expect(BoxScore.of(huge.load).isFinite)
        #expect(BoxScore.of(huge.load, more: 1).isFinite)
    }

    @Test("a state is read as it was written, and one that is none is refused")
    func state() throws {
        for status in BoxState.Status.allCases {
            let state = BoxState(status, start: StartMark(counter: 5, nonce: 6), version: "0.4.0", features: 0b101)
            #expect(try BoxState(decoding: state.payload) == state)
        }
        #expect((try? BoxState(decoding: [])) == nil)
        #expect((try? BoxState(decoding: [UInt8](repeating: 0, count: 1_025))) == nil)
        var writer = FieldWriter()
        writer.varint(1, 9)
        #expect((try? BoxState(decoding: writer.bytes)) == nil)
        let start = StartMark(counter: 1, nonce: 1)
        #expect(BoxState(.online, start: start, version: "", protocolMin: 2, protocolMax: 3).isCompatible == false)
        #expect(BoxState(.online, start: start, version: "", protocolMin: 1, protocolMax: 3).isCompatible)
    }

    private static func users(_ count: Int) -> [UserID] { (0..<count).map { UserID(Bytes16(high: UInt64($0), low: 7)) } }

    @Test("presence and typing are read as they were written")
    func presence() throws {
        let users = Self.users(6)
        let news = PresenceNews(
            came: Array(users[0..<3]), left: Array(users[3..<5]),
            typing: [PresenceNews.Typing(conversation: ConversationID(Bytes16(high: 9, low: 9)), user: users[5])])
        #expect(try PresenceNews(decoding: news.payload) == news)
        #expect(try PresenceNews(decoding: []) == PresenceNews())
        let page = PresencePage(users: users, hasMore: true)
        #expect(try PresencePage(decoding: page.payload) == page)
        #expect(try PresencePage.after(PresencePage.request(after: users[2])) == users[2])
        #expect(try PresencePage.after(PresencePage.request(after: nil)) == nil)
    }

    @Test("the largest message fits on a link, and a larger one is refused")
    func presenceBounds() throws {
        let users = Self.users(PresenceNews.countMax + 1)
        let typing = users.prefix(PresenceNews.countMax).map { PresenceNews.Typing(conversation: ConversationID($0.value), user: $0) }
        #expect(PresenceNews(typing: typing).payload.count <= LinkChannel.payloadBytesMax)
        #expect((try? PresenceNews(decoding: PresenceNews(came: users).payload)) == nil)
        #expect(PresencePage(users: Self.users(PresencePage.countMax), hasMore: true).payload.count + 64 <= LinkChannel.payloadBytesMax)
        #expect((try? PresencePage(decoding: PresencePage(users: Self.users(PresencePage.countMax + 1), hasMore: false).payload)) == nil)
        var half = FieldWriter()
        half.bytes(1, [UInt8](repeating: 1, count: 17))
        #expect((try? PresenceNews(decoding: half.bytes)) == nil)
        #expect((try? PresencePage(decoding: half.bytes)) == nil)
        #expect((try? PresencePage.after(half.bytes)) == nil)
        var odd = FieldWriter()
        odd.bytes(3, [UInt8](repeating: 1, count: 48))
        #expect((try? PresenceNews(decoding: odd.bytes)) == nil)
    }

    @Test("the hash of a set does not depend on the order, and one user makes another of it")
    func hash() {
        let users = Self.users(500)
        var (forth, back) = (PresenceHash(), PresenceHash())
        for user in users { forth.toggle(user) }
        for user in users.reversed() { back.toggle(user) }
        #expect(forth == back)
        #expect(forth.value != 0)
        back.toggle(users[3])
        #expect(forth != back)
        back.toggle(users[3])
        #expect(forth == back)
        // Ids that differ in one half only must not cancel out.
        var pair = PresenceHash()
        pair.toggle(UserID(Bytes16(high: 1, low: 0)))
        pair.toggle(UserID(Bytes16(high: 0, low: 1)))
        #expect(pair.value != 0)
    }

    @Test("no bytes whatever bring a decoder down")
    func fuzz() throws {
        let seed = UInt64.random(in: 1 ... .max)
        var random = Draws(seed: seed)
        let samples = [
            try Self.full().payload, BoxState(.online, start: StartMark(counter: 5, nonce: 6), version: "0.4.0").payload,
            PresenceNews(came: Self.users(3), left: Self.users(2)).payload, PresencePage(users: Self.users(4), hasMore: true).payload,
        ]
        var read = 0
        for round in 0..<20_000 {
            var bytes = samples[round % samples.count]
            for _ in 0..<Int(random.next() % 4) where !bytes.isEmpty {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 { bytes.removeLast(Int(random.next() % UInt64(bytes.count + 1))) }
            if let heartbeat = try? Heartbeat(decoding: bytes) {
                read += 1
                #expect(BoxScore.of(heartbeat.load).isFinite, "seed \(seed)")
            }
            _ = try? BoxState(decoding: bytes)
            _ = try? PresenceNews(decoding: bytes)
            _ = try? PresencePage(decoding: bytes)
            _ = try? PresencePage.after(bytes)
        }
        #expect(read > 100, "seed \(seed)")
    }
}
