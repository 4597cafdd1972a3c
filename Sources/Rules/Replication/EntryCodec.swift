package import SkerryModel

/// `Entry` ⇄ bytes (FEDERATION.md §2.3): `1:type 2:hlc(fix64) 3:id(16B) 4:key 5:body 6:fence 7:expiry`.
///
/// The bytes are what is stored, signed and sent; a box that does not know a type keeps and forwards them untouched.
package enum EntryCodec {
    /// A larger entry is refused at its origin and by every receiver (FEDERATION.md §2.3).
    package static let entryBytesMax = 16 * 1024

    enum EntryType: UInt64 {
        case user = 1
        case device = 2
        case invite = 3
        case conversation = 4
        case membership = 5
        case block = 6
        case accessRule = 7
        case member = 8
        case retained = 9
        case message = 16
        case edit = 17
        case recall = 18
        case reaction = 19
        case receipt = 20
    }

    /// The bytes of `entry`; always the same for the same entry. An `unknown` entry is its own bytes.
    package static func encode(_ entry: Entry) throws(EntryDecodeError) -> [UInt8] {
        if case .unknown(_, let bytes) = entry.body { return bytes }
        let type = Self.type(of: entry.body)
        var writer = FieldWriter(reserving: 192)
        writer.varint(1, type.rawValue)
        writer.fixed64(2, entry.hlc.rawValue)
        if case .message(let message) = entry.body { writer.bytes(3, message.id.bytes) }
        if let key = Self.compactionKey(of: entry.body) { writer.bytes(4, key) }
        writer.bytes(5, BodyCodec.encode(entry.body))
        guard writer.bytes.count <= Self.entryBytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(writer.bytes.count)) }
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(EntryDecodeError) -> Entry {
        guard bytes.count <= Self.entryBytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(bytes.count)) }
        let fields = try FieldMap(bytes[...])
        let hlc = HLC(rawValue: try fields.required(2))
        let number = try fields.required(1)
        guard let type = EntryType(rawValue: number) else { return Entry(hlc: hlc, body: .unknown(type: number, bytes: bytes)) }
        guard let body = fields.slice(5) else { throw EntryDecodeError(.missingField, at: 5) }
        return Entry(hlc: hlc, body: try BodyCodec.decode(type, id: fields.slice(3), body, try FieldMap(body)))
    }

    /// When an entry of any type says it was made, without reading the rest; nil where its first two fields are not the usual ones.
    package static func stamp(of bytes: [UInt8]) -> HLC? {
        var reader = FieldReader(bytes[...])
        guard let first = try? reader.next(), first.field == 1, let second = try? reader.next(), second.field == 2, case .number(let number) = second.value
        else { return nil }
        return HLC(rawValue: number)
    }

    /// Entries with the same key replace each other when a log is compacted (FEDERATION.md §2.6); nil = kept until retention.
    package static func compactionKey(of body: EntryBody) -> [UInt8]? {
        switch body {
        case .user(let user): user.id.bytes
        case .device(let device): device.id.bytes
        case .invite(let invite): invite.id.bytes
        case .conversation(let conversation): conversation.id.bytes
        case .membership(let membership): membership.conversation.bytes + membership.user.bytes
        case .block(let owner, let target, _): owner.bytes + target.bytes
        case .accessRule(let rule): rule.id.bytes
        case .member(let member): member.box.bytes
        case .retained(let retained): Array(retained.topic.utf8)
        case .receipt(let conversation, let user, _, _): conversation.bytes + user.bytes
        case .message, .edit, .recall, .reaction, .unknown: nil
        }
    }

    private static func type(of body: EntryBody) -> EntryType {
        switch body {
        case .user: .user
        case .device: .device
        case .invite: .invite
        case .conversation: .conversation
        case .membership: .membership
        case .block: .block
        case .accessRule: .accessRule
        case .member: .member
        case .retained: .retained
        case .message, .unknown: .message
        case .edit: .edit
        case .recall: .recall
        case .reaction: .reaction
        case .receipt: .receipt
        }
    }
}
