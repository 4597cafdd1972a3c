import SkerryModel

/// The body of an access rule's entry: `1:id 2:user 3:role 4:verb 5:filter 6:effect 7:createdBy 8:created 9:removed`; `2` or `3`, not both.
enum AccessRuleCodec {
    static func write(_ rule: AccessRuleEntry, to writer: inout FieldWriter) {
        writer.bytes(1, rule.id.bytes)
        switch rule.subject {
        case .user(let user): writer.bytes(2, user.bytes)
        case .role(let role): writer.varint(3, UInt64(role.rawValue))
        }
        writer.varint(4, UInt64(rule.verb.rawValue))
        writer.text(5, rule.filter)
        writer.varint(6, UInt64(rule.effect.rawValue))
        if let by = rule.createdBy { writer.bytes(7, by.bytes) }
        writer.varint(8, rule.createdMilliseconds)
        writer.flag(9, rule.isRemoved)
    }

    static func rule(_ fields: FieldMap) throws(EntryDecodeError) -> AccessRuleEntry {
        guard let verb = AccessVerb(rawValue: try fields.required8(4)) else { throw EntryDecodeError(.badField, at: 4) }
        guard let effect = AccessEffect(rawValue: try fields.required8(6)) else { throw EntryDecodeError(.badField, at: 6) }
        return AccessRuleEntry(
            id: try fields.identifier(1), subject: try Self.subject(fields), verb: verb, filter: try fields.requiredText(5), effect: effect,
            createdBy: fields.slice(7).flatMap { UserID(bytes: $0) }, createdMilliseconds: try fields.required(8), isRemoved: fields.flag(9))
    }

    /// A rule for both would be one thing to this version and another to the next.
    private static func subject(_ fields: FieldMap) throws(EntryDecodeError) -> AccessSubject {
        guard fields.slice(2) == nil else {
            guard fields.number(3) == nil else { throw EntryDecodeError(.badField, at: 3) }
            return .user(try fields.identifier(2))
        }
        guard let role = AccessRole(rawValue: try fields.required8(3)) else { throw EntryDecodeError(.badField, at: 3) }
        return .role(role)
    }
}
