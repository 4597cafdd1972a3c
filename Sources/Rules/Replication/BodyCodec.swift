import SkerryModel

/// The `body` field of an entry, type by type. A field number is never used again for something else.
enum BodyCodec {
    static func encode(_ body: EntryBody) -> [UInt8] {
        var writer = FieldWriter()
        switch body {
        case .user(let user): Self.write(user, to: &writer)
        case .device(let device): Self.write(device, to: &writer)
        case .invite(let invite): Self.write(invite, to: &writer)
        case .conversation(let conversation):
            writer.bytes(1, conversation.id.bytes)
            writer.varint(2, UInt64(conversation.form.rawValue))
            writer.text(3, conversation.title)
            writer.varint(4, conversation.createdMilliseconds)
        case .membership(let membership):
            writer.bytes(1, membership.conversation.bytes)
            writer.bytes(2, membership.user.bytes)
            writer.varint(3, UInt64(membership.state.rawValue))
            writer.varint(4, UInt64(membership.role.rawValue))
            if let since = membership.since { writer.bytes(5, since.bytes) }
            writer.bytes(6, membership.by.bytes)
        case .block(let owner, let target, let isOn):
            writer.bytes(1, owner.bytes)
            writer.bytes(2, target.bytes)
            writer.flag(3, isOn)
        case .accessRule(let rule): AccessRuleCodec.write(rule, to: &writer)
        case .member(let member): MemberCodec.write(member, to: &writer)
        case .retained(let retained):
            writer.text(1, retained.topic)
            writer.bytes(2, retained.body)
            writer.varint(3, retained.expiresMilliseconds)
        case .message(let message): ContentCodec.write(message, to: &writer)
        case .edit(let change, let text):
            Self.write(change, to: &writer)
            writer.text(4, text)
        case .recall(let change): Self.write(change, to: &writer)
        case .reaction(let change, let emoji, let isOn):
            Self.write(change, to: &writer)
            writer.text(4, emoji)
            writer.flag(5, isOn)
        case .receipt(let conversation, let user, let received, let read):
            writer.bytes(1, conversation.bytes)
            writer.bytes(2, user.bytes)
            if let received { writer.bytes(3, received.bytes) }
            if let read { writer.bytes(4, read.bytes) }
        case .unknown: break
        }
        return writer.bytes
    }

    static func decode(
        _ type: EntryCodec.EntryType, id: ArraySlice<UInt8>?, _ body: ArraySlice<UInt8>, _ fields: FieldMap
    ) throws(EntryDecodeError) -> EntryBody {
        switch type {
        case .user: return .user(try Self.user(fields))
        case .device: return .device(try Self.device(fields))
        case .invite: return .invite(try Self.invite(fields))
        case .conversation:
            guard let form = ConversationRecord.Form(rawValue: try fields.required8(2)) else {
                throw EntryDecodeError(.badField, at: 2)
            }
            return .conversation(
                ConversationEntry(
                    id: try fields.identifier(1), form: form, title: try fields.requiredText(3), createdMilliseconds: try fields.required(4)))
        case .membership:
            guard let state = MemberState(rawValue: try fields.required8(3)),
                let role = MemberRole(rawValue: try fields.required8(4))
            else { throw EntryDecodeError(.badField, at: 3) }
            return .membership(
                MembershipEntry(
                    conversation: try fields.identifier(1), user: try fields.identifier(2), state: state, role: role, since: try fields.order(5),
                    by: try fields.identifier(6)))
        case .block: return .block(owner: try fields.identifier(1), target: try fields.identifier(2), isOn: fields.flag(3))
        case .accessRule: return .accessRule(try AccessRuleCodec.rule(fields))
        case .member:
            return .member(try MemberCodec.decode(body))
        case .retained:
            return .retained(
                RetainedEntry(topic: try fields.requiredText(1), body: fields.slice(2).map { Array($0) } ?? [], expiresMilliseconds: try fields.required(3)))
        case .message:
            guard let id, let id = MessageID(bytes: id) else { throw EntryDecodeError(.missingField, at: 3) }
            return .message(try ContentCodec.message(id, fields))
        case .edit: return .edit(try Self.change(fields), text: try fields.requiredText(4))
        case .recall: return .recall(try Self.change(fields))
        case .reaction: return .reaction(try Self.change(fields), emoji: try fields.requiredText(4), isOn: fields.flag(5))
        case .receipt:
            return .receipt(
                conversation: try fields.identifier(1), user: try fields.identifier(2), received: try fields.order(3), read: try fields.order(4))
        }
    }

    private static func write(_ change: MessageChange, to writer: inout FieldWriter) {
        writer.bytes(1, change.target.bytes)
        writer.bytes(2, change.conversation.bytes)
        writer.bytes(3, change.by.bytes)
    }

    private static func change(_ fields: FieldMap) throws(EntryDecodeError) -> MessageChange {
        MessageChange(target: try fields.identifier(1), conversation: try fields.identifier(2), by: try fields.identifier(3))
    }

    private static func write(_ user: UserEntry, to writer: inout FieldWriter) {
        writer.bytes(1, user.id.bytes)
        writer.text(2, user.name)
        writer.text(3, user.display)
        writer.varint(4, UInt64(user.role.rawValue))
        writer.flag(5, user.isLocked)
        writer.text(6, user.passwordHash)
        writer.varint(7, user.createdMilliseconds)
        if !user.scramVerifier.isEmpty { writer.text(8, user.scramVerifier) }
    }

    private static func user(_ fields: FieldMap) throws(EntryDecodeError) -> UserEntry {
        guard let role = Role(rawValue: try fields.required8(4)) else { throw EntryDecodeError(.badField, at: 4) }
        return UserEntry(
            id: try fields.identifier(1), name: try fields.requiredText(2), display: try fields.requiredText(3), role: role,
            isLocked: fields.flag(5), passwordHash: try fields.requiredText(6), scramVerifier: try fields.text(8) ?? "",
            createdMilliseconds: try fields.required(7))
    }

    private static func write(_ device: DeviceEntry, to writer: inout FieldWriter) {
        writer.bytes(1, device.id.bytes)
        writer.bytes(2, device.user.bytes)
        writer.bytes(3, device.tokenHash)
        writer.text(4, device.name)
        writer.varint(5, device.createdMilliseconds)
        writer.varint(6, device.expiresMilliseconds)
        writer.flag(7, device.isRevoked)
    }

    private static func device(_ fields: FieldMap) throws(EntryDecodeError) -> DeviceEntry {
        DeviceEntry(
            id: try fields.identifier(1), user: try fields.identifier(2), tokenHash: try fields.requiredBytes(3), name: try fields.requiredText(4),
            createdMilliseconds: try fields.required(5), expiresMilliseconds: try fields.required(6), isRevoked: fields.flag(7))
    }

    private static func write(_ invite: InviteEntry, to writer: inout FieldWriter) {
        writer.bytes(1, invite.id.bytes)
        writer.bytes(2, invite.tokenHash)
        switch invite.purpose {
        case .claim: writer.varint(3, 1)
        case .join(let role):
            writer.varint(3, 2)
            writer.varint(4, UInt64(role.rawValue))
        case .reset(let user):
            writer.varint(3, 3)
            writer.bytes(5, user.bytes)
        }
        writer.varint(6, UInt64(invite.uses))
        writer.varint(7, UInt64(invite.used))
        if let by = invite.createdBy { writer.bytes(8, by.bytes) }
        writer.varint(9, invite.createdMilliseconds)
        writer.varint(10, invite.expiresMilliseconds)
        writer.flag(11, invite.isRevoked)
    }

    private static func invite(_ fields: FieldMap) throws(EntryDecodeError) -> InviteEntry {
        let purpose: InviteRecord.Purpose
        switch try fields.required(3) {
        case 1: purpose = .claim
        case 2:
            guard let role = Role(rawValue: try fields.required8(4)) else { throw EntryDecodeError(.badField, at: 4) }
            purpose = .join(role)
        case 3: purpose = .reset(try fields.identifier(5))
        default: throw EntryDecodeError(.badField, at: 3)
        }
        return InviteEntry(
            id: try fields.identifier(1), tokenHash: try fields.requiredBytes(2), purpose: purpose, uses: try fields.required32(6),
            used: try fields.required32(7), createdBy: fields.slice(8).flatMap { UserID(bytes: $0) }, createdMilliseconds: try fields.required(9),
            expiresMilliseconds: try fields.required(10), isRevoked: fields.flag(11))
    }
}

extension FieldMap {
    func identifier<ID: Identifier>(_ field: UInt64) throws(EntryDecodeError) -> ID {
        guard let slice = self.slice(field) else { throw EntryDecodeError(.missingField, at: field) }
        guard let id = ID(bytes: slice) else { throw EntryDecodeError(.badField, at: field) }
        return id
    }

    func order(_ field: UInt64) throws(EntryDecodeError) -> Order? {
        guard let slice = self.slice(field) else { return nil }
        guard let order = Order(bytes: Array(slice)) else { throw EntryDecodeError(.badField, at: field) }
        return order
    }
}
