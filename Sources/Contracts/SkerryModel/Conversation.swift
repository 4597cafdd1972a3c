import Crypto

/// A stored conversation. A direct one has exactly two members for ever; a group's members are rows of their own.
package struct ConversationRecord: Sendable, Hashable {
    package enum Form: UInt8, Sendable, Hashable {
        case direct = 1
        case group = 2
    }

    package var id: ConversationID
    package var form: Form
    package var title: String
    package var createdMilliseconds: UInt64
    package var stamp: Order

    package init(id: ConversationID, form: Form, title: String, createdMilliseconds: UInt64, stamp: Order) {
        self.id = id
        self.form = form
        self.title = title
        self.createdMilliseconds = createdMilliseconds
        self.stamp = stamp
    }
}

extension ConversationID {
    /// The direct conversation of two users: derived from both, so every box finds the same one without asking.
    package static func direct(_ one: UserID, _ other: UserID) -> ConversationID {
        let (first, second) = one < other ? (one, other) : (other, one)
        var digest = SHA256()
        digest.update(data: Array("skerry-direct-1".utf8) + [0] + first.bytes + second.bytes)
        return ConversationID(Bytes16(Array(digest.finalize())) ?? first.value)
    }
}

extension MessageID {
    /// The first 16 bytes of SHA-256(sender ‖ 0x00 ‖ cid): any box derives the same id for the same send (PRODUCT.md §3).
    package init(sender: UserID, cid: CID) {
        var digest = SHA256()
        digest.update(data: sender.bytes + [0] + Array(cid.text.utf8))
        self.init(Bytes16(Array(digest.finalize())) ?? sender.value)
    }
}

/// The id a client gives to one send: 1 to 64 characters of `A-Z a-z 0-9 - _ . :`.
package struct CID: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    package init(_ text: String, limits: Limits = Limits()) throws(SkerryError) {
        guard (1...limits.cidCharactersMax).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed) else {
            throw SkerryError(
                .payloadInvalid, "cid has 1 to \(limits.cidCharactersMax) characters of A-Z a-z 0-9 - _ . : (a UUIDv7 or ULID).", field: "cid")
        }
        self.text = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"): true
        default: false
        }
    }

    package var description: String { self.text }
}

/// What a member may do in a group, least first.
package enum MemberRole: UInt8, Sendable, Hashable, Comparable, CaseIterable {
    case member = 0
    case admin = 1
    case owner = 2

    package init?(text: some StringProtocol) {
        switch text {
        case "member": self = .member
        case "admin": self = .admin
        case "owner": self = .owner
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .member: "member"
        case .admin: "admin"
        case .owner: "owner"
        }
    }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// How a user stands to a conversation (FEDERATION.md §2.2). One row per pair; the greater stamp wins.
package enum MemberState: UInt8, Sendable, Hashable {
    case invited = 0
    case member = 1
    case left = 2
    case kicked = 3
    case banned = 4
}

package struct MembershipRecord: Sendable, Hashable {
    package var conversation: ConversationID
    package var user: UserID
    package var state: MemberState
    package var role: MemberRole
    /// The member sees what is ordered after this: joining does not open the past. Nil = everything.
    package var since: Order?
    package var stamp: Order

    package init(conversation: ConversationID, user: UserID, state: MemberState, role: MemberRole, since: Order?, stamp: Order) {
        self.conversation = conversation
        self.user = user
        self.state = state
        self.role = role
        self.since = since
        self.stamp = stamp
    }

    package var isMember: Bool { self.state == .member }
}

/// How far a member has received and read. Only ever moves up.
package struct ReceiptRecord: Sendable, Hashable {
    package var conversation: ConversationID
    package var user: UserID
    package var received: Order?
    package var read: Order?

    package init(conversation: ConversationID, user: UserID, received: Order?, read: Order?) {
        self.conversation = conversation
        self.user = user
        self.received = received
        self.read = read
    }
}
