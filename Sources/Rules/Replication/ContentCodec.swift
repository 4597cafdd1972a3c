import SkerryModel

/// The body of a message entry: `1:conv 2:sender 3:cid 4:kind 5:replyTo`, then the fields of its kind from 8 on.
enum ContentCodec {
    static func write(_ message: MessageEntry, to writer: inout FieldWriter) {
        writer.bytes(1, message.conversation.bytes)
        writer.bytes(2, message.sender.bytes)
        writer.text(3, message.cid)
        writer.varint(4, UInt64(message.content.kind.rawValue))
        if let replyTo = message.replyTo { writer.bytes(5, replyTo.bytes) }
        switch message.content {
        case .text(let text), .emoji(let text): writer.text(8, text)
        case .location(let latitude, let longitude, let label, let accuracy):
            writer.fixed64(9, latitude.bitPattern)
            writer.fixed64(10, longitude.bitPattern)
            if let label { writer.text(11, label) }
            if let accuracy { writer.fixed64(12, accuracy.bitPattern) }
        case .custom(let type, let data):
            writer.text(13, type)
            writer.text(14, data)
        case .media(let media): Self.write(media, to: &writer)
        }
    }

    private static func write(_ media: MediaContent, to writer: inout FieldWriter) {
        writer.bytes(15, media.hash)
        writer.varint(16, media.sizeBytes)
        writer.text(17, media.type)
        if let name = media.name { writer.text(18, name) }
        if let caption = media.caption { writer.text(19, caption) }
        if let width = media.width { writer.varint(20, UInt64(width)) }
        if let height = media.height { writer.varint(21, UInt64(height)) }
        if let duration = media.durationMilliseconds { writer.varint(22, duration) }
        if let preview = media.preview { writer.bytes(23, preview) }
    }

    static func message(_ id: MessageID, _ fields: FieldMap) throws(EntryDecodeError) -> MessageEntry {
        guard let kind = MessageKind(rawValue: try fields.required8(4)) else { throw EntryDecodeError(.badField, at: 4) }
        return MessageEntry(
            id: id, conversation: try fields.identifier(1), sender: try fields.identifier(2), cid: try fields.requiredText(3),
            content: try Self.content(kind, fields), replyTo: fields.slice(5).flatMap { MessageID(bytes: $0) })
    }

    private static func content(_ kind: MessageKind, _ fields: FieldMap) throws(EntryDecodeError) -> MessageContent {
        switch kind {
        case .text: return .text(try fields.requiredText(8))
        case .emoji: return .emoji(try fields.requiredText(8))
        case .location:
            return .location(
                latitude: Double(bitPattern: try fields.required(9)), longitude: Double(bitPattern: try fields.required(10)),
                label: try fields.text(11), accuracyMeters: fields.number(12).map { Double(bitPattern: $0) })
        case .custom: return .custom(type: try fields.requiredText(13), data: try fields.requiredText(14))
        case .picture, .voice, .video, .file:
            return .media(
                MediaContent(
                    kind: kind, hash: try fields.requiredBytes(15), sizeBytes: try fields.required(16), type: try fields.requiredText(17),
                    name: try fields.text(18), caption: try fields.text(19), width: fields.number(20).flatMap { UInt32(exactly: $0) },
                    height: fields.number(21).flatMap { UInt32(exactly: $0) }, durationMilliseconds: fields.number(22),
                    preview: fields.slice(23).map { Array($0) }))
        }
    }
}
