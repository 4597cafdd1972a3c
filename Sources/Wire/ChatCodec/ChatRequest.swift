package import SkerryModel

/// A user as a request names one: by id or by `@name`.
package enum UserReference: Sendable, Hashable {
    case id(UserID)
    case name(key: String)

    package init(_ text: String, field: String) throws(SkerryError) {
        if text.hasPrefix("@") {
            guard text.utf8.count <= 160 else { throw SkerryError(.payloadInvalid, "\(field) names no user.", field: field) }
            self = .name(key: UserName.key(of: text.dropFirst()))
        } else if let id = UserID(text: text) {
            self = .id(id)
        } else {
            throw SkerryError(.payloadInvalid, "\(field) is a user id or @name.", field: field)
        }
    }
}

/// A conversation as a request names one: by id, or as the direct conversation with `@name`.
package enum ConversationReference: Sendable, Hashable {
    case id(ConversationID)
    case direct(UserReference)

    package init(_ text: String, field: String = "conv") throws(SkerryError) {
        if text.hasPrefix("@") {
            self = .direct(try UserReference(text, field: field))
        } else if let id = ConversationID(text: text) {
            self = .id(id)
        } else {
            throw SkerryError(.payloadInvalid, "\(field) is a conversation id or @name.", field: field)
        }
    }
}

/// One verb of the chat with its fields checked: lengths, forms, ranges. Who may do it is decided later.
package enum ChatRequest: Sendable {
    case sync(since: String?, limit: Int)
    case conversations(after: String?, limit: Int)
    case conversation(ConversationReference)
    case history(ConversationReference, before: Order?, after: Order?, limit: Int)
    case send(ConversationReference, cid: CID, content: MessageContent, replyTo: MessageID?)
    case edit(MessageID, text: String)
    case recall(MessageID)
    case react(MessageID, emoji: String, isOn: Bool)
    case receipt(ConversationReference, received: Order?, read: Order?)
    case typing(ConversationReference)
    case presence([UserReference]?)
    case users(prefix: String, after: String?, limit: Int)
    case createGroup(title: String, members: [UserReference], cid: CID)
    case createDirect(UserReference)
    case update(ConversationReference, title: String)
    case invite(ConversationReference, [UserReference])
    case remove(ConversationReference, UserReference)
    case role(ConversationReference, UserReference, MemberRole)
    case leave(ConversationReference)
    case block(UserReference, isOn: Bool)
    case blocks
    case ping
}

/// The names of the verbs as clients write them.
package enum ChatVerb: String, Sendable, CaseIterable {
    case sync, conversations, conversation, history, send, edit, recall, react, receipt, typing, presence, users, create, update, invite, remove, role, leave
    case block, blocks, ping

    /// The verb's request from its fields, or a refusal that names the field.
    package func request(_ fields: RequestFields, limits: Limits) throws(SkerryError) -> ChatRequest {
        let check = FieldCheck(fields: fields, limits: limits)
        switch self {
        case .sync: return .sync(since: fields.since, limit: try check.limit(max: limits.syncPageMax, default: limits.syncPageDefault))
        case .conversations:
            return .conversations(after: fields.after, limit: try check.limit(max: limits.listPageMax, default: limits.listPageDefault))
        case .conversation: return .conversation(try check.conversation())
        case .history:
            guard fields.before == nil || fields.after == nil else {
                throw SkerryError(.payloadInvalid, "Give before or after, not both.", field: "before")
            }
            return .history(
                try check.conversation(), before: try check.order(fields.before, "before"), after: try check.order(fields.after, "after"),
                limit: try check.limit(max: limits.historyPageMax, default: limits.historyPageDefault))
        case .send:
            return .send(
                try check.conversation(), cid: try check.cid(), content: try check.content(), replyTo: try check.optionalMessage(fields.replyTo, "replyTo"))
        case .edit: return .edit(try check.message(), text: try check.text(fields.text, "text", max: limits.textBytesMax))
        case .recall: return .recall(try check.message())
        case .react:
            return .react(
                try check.message(), emoji: try check.text(fields.emoji, "emoji", max: limits.reactionBytesMax), isOn: fields.on ?? true)
        case .receipt:
            guard fields.recv != nil || fields.read != nil else { throw SkerryError(.payloadInvalid, "Give recv or read.", field: "read") }
            return .receipt(try check.conversation(), received: try check.order(fields.recv, "recv"), read: try check.order(fields.read, "read"))
        case .typing: return .typing(try check.conversation())
        case .presence: return .presence(try fields.users.map { users throws(SkerryError) in try check.users(users, "users", max: limits.presenceUsersMax) })
        case .users: return .users(prefix: try check.prefix(), after: fields.after, limit: try check.limit(max: 100, default: 50))
        case .create: return try check.create()
        case .update: return .update(try check.conversation(), title: try check.text(fields.title, "title", max: limits.titleBytesMax))
        case .invite: return .invite(try check.conversation(), try check.users(fields.users, "users", max: limits.inviteBatchMax))
        case .remove: return .remove(try check.conversation(), try check.user())
        case .role:
            guard let role = MemberRole(text: fields.role ?? "") else {
                throw SkerryError(.payloadInvalid, "role is owner, admin or member.", field: "role")
            }
            return .role(try check.conversation(), try check.user(), role)
        case .leave: return .leave(try check.conversation())
        case .block: return .block(try check.user(), isOn: fields.on ?? true)
        case .blocks: return .blocks
        case .ping: return .ping
        }
    }
}
