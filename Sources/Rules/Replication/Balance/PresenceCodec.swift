package import SkerryModel

/// Sums up a set of users, so that two boxes see whether they mean the same one. In any order, and each coming or going changes it by itself.
package struct PresenceHash: Sendable, Hashable {
    package private(set) var value: UInt64 = 0

    package init() {}

    /// The same for somebody who comes and who goes.
    package mutating func toggle(_ user: UserID) { self.value ^= Self.mix(user.value) }

    private static func mix(_ id: Bytes16) -> UInt64 {
        var value = id.high ^ ((id.low << 29) | (id.low >> 35)) &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// What people do that is not kept: on `e`, `1:came 2:left 3:typing`, each a row of ids.
package struct PresenceNews: Sendable, Hashable {
    package struct Typing: Sendable, Hashable {
        package var conversation: ConversationID
        package var user: UserID

        package init(conversation: ConversationID, user: UserID) {
            self.conversation = conversation
            self.user = user
        }
    }

    /// Ids in one message; a longer one is dropped and never made.
    package static let countMax = 2_048

    package var came: [UserID]
    package var left: [UserID]
    package var typing: [Typing]

    package init(came: [UserID] = [], left: [UserID] = [], typing: [Typing] = []) {
        self.came = came
        self.left = left
        self.typing = typing
    }

    package var count: Int { self.came.count + self.left.count + self.typing.count }

    package var payload: [UInt8] {
        var writer = FieldWriter(reserving: 16 + 32 * self.count)
        if !self.came.isEmpty { writer.bytes(1, IDRow.encode(self.came)) }
        if !self.left.isEmpty { writer.bytes(2, IDRow.encode(self.left)) }
        if !self.typing.isEmpty {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(32 * self.typing.count)
            for item in self.typing {
                item.conversation.value.append(to: &bytes)
                item.user.value.append(to: &bytes)
            }
            writer.bytes(3, bytes)
        }
        return writer.bytes
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        let fields = try FieldMap(payload[...])
        self.init(came: try IDRow.decode(fields.slice(1) ?? [], field: 1), left: try IDRow.decode(fields.slice(2) ?? [], field: 2))
        let pairs: [Bytes16] = try IDRow.values(fields.slice(3) ?? [], field: 3)
        guard pairs.count % 2 == 0 else { throw EntryDecodeError(.badField, at: 3) }
        var index = 0
        while index + 1 < pairs.count {
            self.typing.append(Typing(conversation: ConversationID(pairs[index]), user: UserID(pairs[index + 1])))
            index += 2
        }
        guard self.count <= Self.countMax else { throw EntryDecodeError(.tooLarge, at: 0) }
    }
}

/// Everybody who is online at a box, in pages: asked with `1:after`, answered with `1:users 2:more`.
package struct PresencePage: Sendable, Hashable {
    /// Users of one page.
    package static let countMax = 4_096

    /// Rising.
    package var users: [UserID]
    package var hasMore: Bool

    package init(users: [UserID], hasMore: Bool) {
        self.users = users
        self.hasMore = hasMore
    }

    package var payload: [UInt8] {
        var writer = FieldWriter(reserving: 16 + 16 * self.users.count)
        writer.bytes(1, IDRow.encode(self.users))
        writer.flag(2, self.hasMore)
        return writer.bytes
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        let fields = try FieldMap(payload[...])
        guard let row = fields.slice(1) else { throw EntryDecodeError(.missingField, at: 1) }
        self.init(users: try IDRow.decode(row, field: 1), hasMore: fields.flag(2))
        guard self.users.count <= Self.countMax else { throw EntryDecodeError(.tooLarge, at: 1) }
    }

    package static func request(after user: UserID?) -> [UInt8] {
        var writer = FieldWriter(reserving: 24)
        if let user { writer.bytes(1, user.bytes) }
        return writer.bytes
    }

    /// From where a page was asked for; nil within: from the beginning.
    package static func after(_ request: [UInt8]) throws(EntryDecodeError) -> UserID? {
        guard let slice = try FieldMap(request[...]).slice(1) else { return nil }
        guard slice.count == 16, let value = Bytes16(slice) else { throw EntryDecodeError(.badField, at: 1) }
        return UserID(value)
    }
}

/// Ids of sixteen bytes, one behind the other.
private enum IDRow {
    static func encode(_ users: [UserID]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16 * users.count)
        for user in users { user.value.append(to: &bytes) }
        return bytes
    }

    static func values(_ bytes: ArraySlice<UInt8>, field: UInt64) throws(EntryDecodeError) -> [Bytes16] {
        guard bytes.count % 16 == 0 else { throw EntryDecodeError(.badField, at: field) }
        var values: [Bytes16] = []
        values.reserveCapacity(bytes.count / 16)
        var rest = bytes
        while let value = Bytes16(rest.prefix(16)) {
            values.append(value)
            rest = rest.dropFirst(16)
        }
        return values
    }

    static func decode(_ bytes: ArraySlice<UInt8>, field: UInt64) throws(EntryDecodeError) -> [UserID] {
        try Self.values(bytes, field: field).map { UserID($0) }
    }
}
