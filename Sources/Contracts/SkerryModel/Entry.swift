/// One record of a log, decoded. Its wire form is `EntryCodec` in Replication (FEDERATION.md §2.3).
package struct Entry: Sendable, Hashable {
    package var hlc: HLC
    package var body: EntryBody

    package init(hlc: HLC, body: EntryBody) {
        self.hlc = hlc
        self.body = body
    }
}

/// What an entry says. Control entries are rows where the greater order wins; message entries never change.
package enum EntryBody: Sendable, Hashable {
    // Control stream
    case user(UserEntry)
    case device(DeviceEntry)
    case invite(InviteEntry)
    case conversation(ConversationEntry)
    case membership(MembershipEntry)
    case block(owner: UserID, target: UserID, isOn: Bool)
    case accessRule(AccessRuleEntry)
    case member(MemberEntry)
    case retained(RetainedEntry)
    // Message stream
    case message(MessageEntry)
    case edit(MessageChange, text: String)
    case recall(MessageChange)
    case reaction(MessageChange, emoji: String, isOn: Bool)
    case receipt(conversation: ConversationID, user: UserID, received: Order?, read: Order?)
    /// A type this version does not know: stored and forwarded as it came, applied after an upgrade.
    case unknown(type: UInt64, bytes: [UInt8])

    package var stream: Stream {
        switch self {
        case .user, .device, .invite, .conversation, .membership, .block, .accessRule, .member, .retained: .control
        case .message, .edit, .recall, .reaction, .receipt, .unknown: .message
        }
    }
}

package struct UserEntry: Sendable, Hashable {
    package var id: UserID
    package var name: String
    package var display: String
    package var role: Role
    package var isLocked: Bool
    package var passwordHash: String
    package var scramVerifier: String
    package var createdMilliseconds: UInt64

    package init(
        id: UserID, name: String, display: String, role: Role, isLocked: Bool, passwordHash: String, scramVerifier: String = "", createdMilliseconds: UInt64
    ) {
        self.id = id
        self.name = name
        self.display = display
        self.role = role
        self.isLocked = isLocked
        self.passwordHash = passwordHash
        self.scramVerifier = scramVerifier
        self.createdMilliseconds = createdMilliseconds
    }
}

package struct DeviceEntry: Sendable, Hashable {
    package var id: DeviceID
    package var user: UserID
    package var tokenHash: [UInt8]
    package var name: String
    package var createdMilliseconds: UInt64
    package var expiresMilliseconds: UInt64
    package var isRevoked: Bool

    package init(
        id: DeviceID, user: UserID, tokenHash: [UInt8], name: String, createdMilliseconds: UInt64, expiresMilliseconds: UInt64, isRevoked: Bool
    ) {
        self.id = id
        self.user = user
        self.tokenHash = tokenHash
        self.name = name
        self.createdMilliseconds = createdMilliseconds
        self.expiresMilliseconds = expiresMilliseconds
        self.isRevoked = isRevoked
    }
}

package struct InviteEntry: Sendable, Hashable {
    package var id: InviteID
    package var tokenHash: [UInt8]
    package var purpose: InviteRecord.Purpose
    package var uses: UInt32
    package var used: UInt32
    package var createdBy: UserID?
    package var createdMilliseconds: UInt64
    package var expiresMilliseconds: UInt64
    package var isRevoked: Bool

    package init(
        id: InviteID, tokenHash: [UInt8], purpose: InviteRecord.Purpose, uses: UInt32, used: UInt32, createdBy: UserID?, createdMilliseconds: UInt64,
        expiresMilliseconds: UInt64, isRevoked: Bool
    ) {
        self.id = id
        self.tokenHash = tokenHash
        self.purpose = purpose
        self.uses = uses
        self.used = used
        self.createdBy = createdBy
        self.createdMilliseconds = createdMilliseconds
        self.expiresMilliseconds = expiresMilliseconds
        self.isRevoked = isRevoked
    }
}

package struct ConversationEntry: Sendable, Hashable {
    package var id: ConversationID
    package var form: ConversationRecord.Form
    package var title: String
    package var createdMilliseconds: UInt64

    package init(id: ConversationID, form: ConversationRecord.Form, title: String, createdMilliseconds: UInt64) {
        self.id = id
        self.form = form
        self.title = title
        self.createdMilliseconds = createdMilliseconds
    }
}

package struct MembershipEntry: Sendable, Hashable {
    package var conversation: ConversationID
    package var user: UserID
    package var state: MemberState
    package var role: MemberRole
    package var since: Order?
    /// Who decided it; shown in the audit of a group.
    package var by: UserID

    package init(conversation: ConversationID, user: UserID, state: MemberState, role: MemberRole, since: Order?, by: UserID) {
        self.conversation = conversation
        self.user = user
        self.state = state
        self.role = role
        self.since = since
        self.by = by
    }
}

package struct MessageEntry: Sendable, Hashable {
    package var id: MessageID
    package var conversation: ConversationID
    package var sender: UserID
    package var cid: String
    package var content: MessageContent
    package var replyTo: MessageID?

    package init(id: MessageID, conversation: ConversationID, sender: UserID, cid: String, content: MessageContent, replyTo: MessageID?) {
        self.id = id
        self.conversation = conversation
        self.sender = sender
        self.cid = cid
        self.content = content
        self.replyTo = replyTo
    }
}

/// Which message is changed, and by whom.
package struct MessageChange: Sendable, Hashable {
    package var target: MessageID
    package var conversation: ConversationID
    package var by: UserID

    package init(target: MessageID, conversation: ConversationID, by: UserID) {
        self.target = target
        self.conversation = conversation
        self.by = by
    }
}
