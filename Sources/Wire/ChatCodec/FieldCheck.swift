import SkerryModel

/// Turns raw fields into checked values; each refusal names its field and what would be accepted.
struct FieldCheck {
    let fields: RequestFields
    let limits: Limits

    func limit(max: Int, default: Int) throws(SkerryError) -> Int {
        guard let limit = self.fields.limit else { return `default` }
        guard (1...max).contains(limit) else { throw SkerryError(.payloadInvalid, "limit is 1 to \(max).", field: "limit") }
        return limit
    }

    func conversation() throws(SkerryError) -> ConversationReference {
        guard let text = self.fields.conv else { throw SkerryError(.payloadInvalid, "conv is missing.", field: "conv") }
        return try ConversationReference(text)
    }

    func user() throws(SkerryError) -> UserReference {
        guard let text = self.fields.user else { throw SkerryError(.payloadInvalid, "user is missing.", field: "user") }
        return try UserReference(text, field: "user")
    }

    func users(_ texts: [String]?, _ field: String, max: Int) throws(SkerryError) -> [UserReference] {
        guard let texts, !texts.isEmpty, texts.count <= max else {
            throw SkerryError(.payloadInvalid, "\(field) is a list of 1 to \(max) users.", field: field)
        }
        var users: [UserReference] = []
        for text in texts { users.append(try UserReference(text, field: field)) }
        return users
    }

    func message() throws(SkerryError) -> MessageID {
        guard let message = try self.optionalMessage(self.fields.mid, "mid") else { throw SkerryError(.payloadInvalid, "mid is missing.", field: "mid") }
        return message
    }

    func optionalMessage(_ text: String?, _ field: String) throws(SkerryError) -> MessageID? {
        guard let text else { return nil }
        guard let id = MessageID(text: text) else { throw SkerryError(.payloadInvalid, "\(field) is not a message id.", field: field) }
        return id
    }

    func order(_ text: String?, _ field: String) throws(SkerryError) -> Order? {
        guard let text else { return nil }
        guard let order = Order(text: text) else { throw SkerryError(.payloadInvalid, "\(field) is not an order.", field: field) }
        return order
    }

    func cid() throws(SkerryError) -> CID {
        guard let cid = self.fields.cid else { throw SkerryError(.payloadInvalid, "cid is missing.", field: "cid") }
        return try CID(cid, limits: self.limits)
    }

    /// Text of 1 to `max` bytes with something visible in it and no U+0000.
    func text(_ text: String?, _ field: String, max: Int) throws(SkerryError) -> String {
        guard let text, !text.isEmpty else { throw SkerryError(.payloadInvalid, "\(field) is missing or empty.", field: field) }
        guard text.utf8.count <= max else { throw SkerryError(.tooLarge, "\(field) has more than \(max) bytes.", field: field) }
        guard !text.utf8.contains(0) else { throw SkerryError(.payloadInvalid, "\(field) holds U+0000.", field: field) }
        guard !text.unicodeScalars.allSatisfy(\.properties.isWhitespace) else { throw SkerryError(.payloadInvalid, "\(field) is blank.", field: field) }
        return text
    }

    func prefix() throws(SkerryError) -> String {
        let text = self.fields.q ?? ""
        guard text.utf8.count <= 160 else { throw SkerryError(.payloadInvalid, "q is too long.", field: "q") }
        return UserName.key(of: text)
    }

    func create() throws(SkerryError) -> ChatRequest {
        switch self.fields.type {
        case "direct": return .createDirect(try self.user())
        case "group":
            let members = self.fields.members ?? []
            return .createGroup(
                title: try self.text(self.fields.title, "title", max: self.limits.titleBytesMax),
                members: members.isEmpty ? [] : try self.users(members, "members", max: self.limits.inviteBatchMax), cid: try self.cid())
        default: throw SkerryError(.payloadInvalid, "type is direct or group.", field: "type")
        }
    }

    func content() throws(SkerryError) -> MessageContent {
        guard let kind = MessageKind(text: self.fields.kind ?? "text") else {
            throw SkerryError(.payloadInvalid, "kind is text, emoji, location or custom.", field: "kind")
        }
        switch kind {
        case .text: return .text(try self.text(self.fields.text, "text", max: self.limits.textBytesMax))
        case .emoji: return .emoji(try self.text(self.fields.text, "text", max: self.limits.emojiBytesMax))
        case .location: return try self.location()
        case .custom:
            let type = try self.text(self.fields.type, "type", max: self.limits.customTypeBytesMax)
            let data = self.fields.data ?? ""
            guard data.utf8.count <= self.limits.textBytesMax else {
                throw SkerryError(.tooLarge, "data has more than \(self.limits.textBytesMax) bytes.", field: "data")
            }
            guard !data.utf8.contains(0), !type.utf8.contains(where: { $0 <= 0x20 }) else {
                throw SkerryError(.payloadInvalid, "type is a word like app/x; data holds no U+0000.", field: "type")
            }
            return .custom(type: type, data: data)
        case .picture, .voice, .video, .file:
            throw SkerryError(.payloadInvalid, "This box has no media store yet; send text, emoji, location or custom.", field: "kind")
        }
    }

    private func location() throws(SkerryError) -> MessageContent {
        guard let latitude = self.fields.lat, (-90...90).contains(latitude), let longitude = self.fields.lon, (-180...180).contains(longitude) else {
            throw SkerryError(.payloadInvalid, "lat is -90 to 90 and lon -180 to 180.", field: "lat")
        }
        if let accuracy = self.fields.accuracy, !(0...1e7).contains(accuracy) {
            throw SkerryError(.payloadInvalid, "accuracy is in metres, 0 to 10000000.", field: "accuracy")
        }
        let label = try self.fields.label.map { label throws(SkerryError) in try self.text(label, "label", max: self.limits.labelBytesMax) }
        return .location(latitude: latitude, longitude: longitude, label: label, accuracyMeters: self.fields.accuracy)
    }
}
