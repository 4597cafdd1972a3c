import Replication
import SkerryModel
import TestKit
import Testing

@Suite("Entries of the log as bytes")
struct EntryCodecTests {
    static let hash = (0..<32).map { UInt8($0) }
    static let change = MessageChange(target: Sample.message(1), conversation: Sample.conversation(1), by: Sample.user(1))

    static func message(_ content: MessageContent, replyTo: MessageID? = nil) -> EntryBody {
        .message(
            MessageEntry(
                id: Sample.message(1), conversation: Sample.conversation(1), sender: Sample.user(1), cid: "cid-1", content: content, replyTo: replyTo))
    }

    static func invite(_ purpose: InviteRecord.Purpose, uses: UInt32, used: UInt32, by: UserID?, isRevoked: Bool = false) -> EntryBody {
        .invite(
            InviteEntry(
                id: Sample.invite(1), tokenHash: Self.hash, purpose: purpose, uses: uses, used: used, createdBy: by, createdMilliseconds: 5,
                expiresMilliseconds: 300, isRevoked: isRevoked))
    }

    static func membership(_ state: MemberState, _ role: MemberRole, since: Order?) -> EntryBody {
        .membership(
            MembershipEntry(
                conversation: Sample.conversation(1), user: Sample.user(2), state: state, role: role, since: since, by: Sample.user(1)))
    }

    /// The bodies whose bytes are in Golden/entries.hex.
    static let bodies: [String: EntryBody] = [
        "user": .user(
            UserEntry(
                id: Sample.user(1), name: "Zoé", display: "Zoé from the pier", role: .admin, isLocked: true, passwordHash: "scrypt$x",
                createdMilliseconds: 1_700_000_000_000)),
        "user-scram": .user(
            UserEntry(
                id: Sample.user(1), name: "Zoé", display: "Zoé from the pier", role: .admin, isLocked: true, passwordHash: "scrypt$x",
                scramVerifier: "SCRAM-SHA-256$x", createdMilliseconds: 1_700_000_000_000)),
        "device": .device(
            DeviceEntry(
                id: Sample.device(1), user: Sample.user(1), tokenHash: hash, name: "phone", createdMilliseconds: 5, expiresMilliseconds: 300,
                isRevoked: false)),
        "invite-claim": invite(.claim, uses: 1, used: 0, by: nil),
        "invite-join": invite(.join(.admin), uses: 9, used: 2, by: Sample.user(2), isRevoked: true),
        "invite-reset": invite(.reset(Sample.user(2)), uses: 1, used: 0, by: Sample.user(1)),
        "conversation": .conversation(
            ConversationEntry(id: Sample.conversation(1), form: .group, title: "Boathouse", createdMilliseconds: 1_700_000_000_000)),
        "membership": membership(.member, .owner, since: Sample.order(77)),
        "membership-open": membership(.banned, .member, since: nil),
        "block-on": .block(owner: Sample.user(1), target: Sample.user(2), isOn: true),
        "block-off": .block(owner: Sample.user(1), target: Sample.user(2), isOn: false),
        "access-rule-user": .accessRule(
            AccessRuleEntry(
                id: Sample.accessRule(1), subject: .user(Sample.user(2)), verb: .publish, filter: "dev/%u/té/#", effect: .allow,
                createdBy: Sample.user(3), createdMilliseconds: 1_700_000_000_000, isRemoved: false)),
        "access-rule-role": .accessRule(
            AccessRuleEntry(
                id: Sample.accessRule(1), subject: .role(.anonymous), verb: .all, filter: "secret/#", effect: .deny, createdBy: nil,
                createdMilliseconds: 5, isRemoved: true)),
        "message-text": message(.text("在吗")),
        "message-reply": message(.text("yes"), replyTo: Sample.message(2)),
        "message-emoji": message(.emoji("🚣")),
        "message-location": message(.location(latitude: 59.91, longitude: -10.75, label: "pier", accuracyMeters: 12.5)),
        "message-location-bare": message(.location(latitude: 0, longitude: 180, label: nil, accuracyMeters: nil)),
        "message-custom": message(.custom(type: "app/x", data: "{}")),
        "message-picture": message(
            .media(
                MediaContent(
                    kind: .picture, hash: hash, sizeBytes: 70_000, type: "image/webp", name: "a.webp", caption: "look", width: 640, height: 480,
                    durationMilliseconds: 1, preview: [1, 2, 3]))),
        "message-file": message(.media(MediaContent(kind: .file, hash: hash, sizeBytes: 1, type: "text/plain"))),
        "edit": .edit(change, text: "hello"),
        "recall": .recall(change),
        "reaction-on": .reaction(change, emoji: "👍", isOn: true),
        "reaction-off": .reaction(change, emoji: "👍", isOn: false),
        "receipt": .receipt(conversation: Sample.conversation(1), user: Sample.user(1), received: Sample.order(9), read: Sample.order(8)),
        "receipt-read": .receipt(conversation: Sample.conversation(1), user: Sample.user(1), received: nil, read: Sample.order(8)),
    ]
    static let hlc = HLC(milliseconds: 1_700_000_000_000, counter: 5)

    static let golden: [String: [UInt8]] = {
        let text = TestFile.text(TestFile.beside(#filePath, "Golden/entries.hex")) ?? ""
        var lines: [String: [UInt8]] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            let digits = Array(parts.last ?? "")
            lines[String(parts.first ?? "")] = stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0...($0 + 1)]), radix: 16) }
        }
        return lines
    }()

    @Test("Every kind of entry is written as it always was, and read back", arguments: bodies.keys.sorted())
    func vectors(_ name: String) throws {
        let entry = Entry(hlc: Self.hlc, body: try #require(Self.bodies[name]))
        let bytes = try #require(Self.golden[name], "no line \(name) in Golden/entries.hex")
        #expect(try EntryCodec.encode(entry) == bytes)
        #expect(try EntryCodec.decode(bytes) == entry)
    }

    @Test("Every golden line is tried")
    func complete() { #expect(Set(Self.golden.keys) == Set(Self.bodies.keys).union(["unknown"])) }

    @Test("An entry of a type that is not known is kept byte for byte")
    func unknown() throws {
        let bytes = try #require(Self.golden["unknown"])
        let entry = try EntryCodec.decode(bytes)
        #expect(entry == Entry(hlc: Self.hlc, body: .unknown(type: 99, bytes: bytes)))
        #expect(entry.body.stream == .message)
        #expect(try EntryCodec.encode(entry) == bytes)
    }

    @Test("Fields that are not known are skipped, of every wire type, inside and around the body")
    func unknownFields() throws {
        var extra = FieldWriter()
        extra.varint(100, .max)
        extra.fixed64(101, 7)
        extra.bytes(102, [1, 2, 3])
        for (name, bytes) in Self.golden where name != "unknown" {
            #expect(try EntryCodec.decode(bytes + extra.bytes) == EntryCodec.decode(bytes), "\(name)")
        }
    }

    @Test("The last of a repeated field counts")
    func repeated() throws {
        let bytes = try #require(Self.golden["recall"])
        var again = FieldWriter()
        again.fixed64(2, 42)
        #expect(try EntryCodec.decode(bytes + again.bytes).hlc == HLC(rawValue: 42))
    }

    @Test("An enumeration is read whole: 257 is not 1", arguments: ["user", "conversation", "membership", "message-text", "invite-join", "access-rule-role"])
    func enumerations(_ name: String) throws {
        let entry = try EntryCodec.decode(try #require(Self.golden[name]))
        let fields: [UInt64] =
            switch entry.body {
            case .user, .message, .invite: [4]
            case .conversation: [2]
            case .accessRule: [3, 4, 6]
            default: [3, 4]
            }
        for field in fields {
            var body = FieldWriter()
            let golden = try #require(Self.golden[name])
            let old = try Self.field(5, of: golden)
            var reader = FieldReader(try #require(old))
            while let (number, value) = try reader.next() {
                switch value {
                case .number(let old): body.varint(number, number == field ? old + 256 : old)
                case .bytes(let slice): body.bytes(number, slice)
                }
            }
            let changed = Self.replacing(5, with: body.bytes, in: golden)
            #expect(throws: EntryDecodeError.self, "\(name) field \(field)") { try EntryCodec.decode(changed) }
        }
    }

    @Test("An access rule is about a user or a role: never both, never neither")
    func accessSubject() throws {
        let golden = try #require(Self.golden["access-rule-user"])
        let body = Array(try #require(try Self.field(5, of: golden)))
        var role = FieldWriter()
        role.varint(3, 0)
        #expect(throws: EntryDecodeError(.badField, at: 3)) { try EntryCodec.decode(Self.replacing(5, with: body + role.bytes, in: golden)) }
        var neither = FieldWriter()
        var reader = FieldReader(body[...])
        while let (number, value) = try reader.next() {
            switch value {
            case .number(let old): neither.varint(number, old)
            case .bytes(let slice): if number != 2 { neither.bytes(number, slice) }
            }
        }
        #expect(throws: EntryDecodeError.self) { try EntryCodec.decode(Self.replacing(5, with: neither.bytes, in: golden)) }
    }

    private static func field(_ number: UInt64, of bytes: [UInt8]) throws -> ArraySlice<UInt8>? { try FieldMap(bytes[...]).slice(number) }

    private static func replacing(_ number: UInt64, with new: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var writer = FieldWriter()
        writer.bytes(number, new)
        return bytes + writer.bytes
    }

    @Test("An entry of 16 KiB is written and read, one byte more is neither")
    func size() throws {
        func entry(_ count: Int) -> Entry { Entry(hlc: Self.hlc, body: Self.message(.custom(type: "x", data: String(repeating: "a", count: count)))) }
        let room = EntryCodec.entryBytesMax - (try EntryCodec.encode(entry(10_000)).count - 10_000)
        let largest = try EntryCodec.encode(entry(room))
        #expect(largest.count == EntryCodec.entryBytesMax)
        #expect(try EntryCodec.decode(largest) == entry(room))
        #expect(throws: EntryDecodeError(.tooLarge, at: UInt64(EntryCodec.entryBytesMax + 1))) { try EntryCodec.encode(entry(room + 1)) }
        #expect(throws: EntryDecodeError.self) { try EntryCodec.decode(largest + [0]) }
    }

    @Test("An entry cut anywhere is an error or another entry, never a crash", arguments: golden.keys.sorted())
    func cuts(_ name: String) throws {
        let bytes = try #require(Self.golden[name])
        for count in 0..<bytes.count {
            // A cut between two fields may leave something whole; then it must be writable again.
            guard let entry = try? EntryCodec.decode(Array(bytes.prefix(count))) else { continue }
            #expect(try EntryCodec.decode(EntryCodec.encode(entry)) == entry)
        }
    }

    @Test("Damaged entries are errors or other entries, never a crash", arguments: 1...40)
    func fuzz(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let seeds = Self.golden.sorted { $0.key < $1.key }.map(\.value)
        for _ in 0..<500 {
            var bytes = seeds.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<max(1, bytes.count), using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0 where index < bytes.count: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1 where index < bytes.count: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
                case 2 where index < bytes.count: bytes.remove(at: index)
                case 3: bytes.insert(contentsOf: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], at: min(index, bytes.count))
                default: bytes.append(contentsOf: (seeds.randomElement(using: &random) ?? []).prefix(index))
                }
            }
            guard let entry = try? EntryCodec.decode(bytes) else { continue }
            guard let again = try? EntryCodec.encode(entry) else { continue }
            #expect(try EntryCodec.decode(again) == entry || Self.holdsNaN(entry), "seed \(seed): \(bytes)")
        }
    }

    private static func holdsNaN(_ entry: Entry) -> Bool {
        guard case .message(let message) = entry.body, case .location(let latitude, let longitude, _, let accuracy) = message.content else { return false }
        return latitude.isNaN || longitude.isNaN || accuracy?.isNaN == true
    }

    @Test("A number takes at most ten bytes, a length no more than there is")
    func fields() throws {
        func read(_ bytes: [UInt8]) -> EntryDecodeError.Reason? {
            do throws(EntryDecodeError) {
                var reader = FieldReader(bytes[...])
                while try reader.next() != nil {}
                return nil
            } catch { return error.reason }
        }
        #expect(read([]) == nil)
        #expect(read([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) == nil)
        #expect(read([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02]) == .overlong)
        #expect(read([0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]) == .overlong)
        #expect(read([0x08]) == .truncated)
        #expect(read([0x09, 1, 2, 3, 4, 5, 6, 7]) == .truncated)
        #expect(read([0x0A, 2, 1]) == .truncated)
        #expect(read([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) == .truncated)
        #expect(read([0x0B]) == .badField)
        #expect(read([0x0D, 0, 0, 0, 0]) == .badField)
        #expect(throws: EntryDecodeError.self) { try FieldMap((0..<65).flatMap { _ in [UInt8(0x08), 1] }[...]) }
    }

    @Test("Text that is not UTF-8 is refused")
    func text() throws {
        var bytes = try #require(Self.golden["edit"])
        bytes[bytes.count - 1] = 0xFF
        #expect(throws: EntryDecodeError(.badField, at: 4)) { try EntryCodec.decode(bytes) }
    }

    @Test("Control entries are compacted by what they are about, messages not at all")
    func compaction() {
        for (name, body) in Self.bodies {
            let key = EntryCodec.compactionKey(of: body)
            #expect((key != nil) == (body.stream == .control || name.hasPrefix("receipt")), "\(name)")
        }
        #expect(EntryCodec.compactionKey(of: Self.membership(.left, .member, since: nil)) == Sample.conversation(1).bytes + Sample.user(2).bytes)
    }
}
