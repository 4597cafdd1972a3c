package import SkerryModel

/// A message of an ordinary MQTT topic between boxes (FEDERATION.md §2.8): one of those in a `TopicFrame`.
///
/// `1:number 2:topic 3:flags 4:payload 5:millisecondsLeft 6:payloadFormat 7:contentType 8:responseTopic 9:correlation 10:userProperty{1:name 2:value}…
/// 11:user(16B)`; flags are the QoS, 4 = retained, 8 = it expires at once.
package struct TopicEnvelope: Sendable, Hashable {
    package struct UserProperty: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// User properties of one message; one with more is refused. As many fit into what a link carries.
    package static let userPropertiesMax = 1_024
    /// The longest expiry of MQTT, 2³²−1 seconds, with what a span is rounded by.
    package static let millisecondsMax: UInt64 = 4_294_967_296_000

    /// Rises with every message of a run of the origin: by it a receiver knows what it has already.
    package var number: UInt64
    package var topic: String
    /// As published.
    package var qos: UInt8
    package var isRetained: Bool
    /// MQTT 5's expiry interval of 0: for who is there now.
    package var expiresAtOnce: Bool
    package var payload: [UInt8]
    /// Until nobody wants it any more; nil = never.
    package var millisecondsLeft: UInt64?
    package var payloadFormat: UInt8?
    package var contentType: String?
    package var responseTopic: String?
    package var correlation: [UInt8]?
    package var userProperties: [UserProperty]
    /// Who published it; nil: a client without an account, or the box itself. Its box has judged what it may publish, the receiver's box judges who
    /// may read it.
    package var user: UserID?

    package init(
        number: UInt64, topic: String, qos: UInt8, isRetained: Bool = false, expiresAtOnce: Bool = false, payload: [UInt8], millisecondsLeft: UInt64? = nil,
        payloadFormat: UInt8? = nil, contentType: String? = nil, responseTopic: String? = nil, correlation: [UInt8]? = nil,
        userProperties: [UserProperty] = [], user: UserID? = nil
    ) {
        self.number = number
        self.topic = topic
        self.qos = qos
        self.isRetained = isRetained
        self.expiresAtOnce = expiresAtOnce
        self.payload = payload
        self.millisecondsLeft = millisecondsLeft
        self.payloadFormat = payloadFormat
        self.contentType = contentType
        self.responseTopic = responseTopic
        self.correlation = correlation
        self.userProperties = userProperties
        self.user = user
    }

    package var bytes: [UInt8] {
        var writer = FieldWriter(reserving: self.payload.count + self.topic.utf8.count + 64)
        writer.varint(1, self.number)
        writer.text(2, self.topic)
        writer.varint(3, UInt64(self.qos) | (self.isRetained ? 4 : 0) | (self.expiresAtOnce ? 8 : 0))
        writer.bytes(4, self.payload)
        if let value = self.millisecondsLeft { writer.varint(5, value) }
        if let value = self.payloadFormat { writer.varint(6, UInt64(value)) }
        if let value = self.contentType { writer.text(7, value) }
        if let value = self.responseTopic { writer.text(8, value) }
        if let value = self.correlation { writer.bytes(9, value) }
        for property in self.userProperties {
            var pair = FieldWriter(reserving: property.name.utf8.count + property.value.utf8.count + 8)
            pair.text(1, property.name)
            pair.text(2, property.value)
            writer.bytes(10, pair.bytes)
        }
        if let user = self.user { writer.bytes(11, user.bytes) }
        return writer.bytes
    }

    package init(decoding bytes: ArraySlice<UInt8>) throws(EntryDecodeError) {
        self.init(number: 0, topic: "", qos: 0, payload: [])
        var reader = FieldReader(bytes)
        var (hasNumber, hasTopic, hasFlags) = (false, false, false)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .number(let number)): (self.number, hasNumber) = (number, true)
            case (2, .bytes(let slice)): (self.topic, hasTopic) = (try Self.text(slice, field), true)
            case (3, .number(let flags)):
                guard flags & 3 < 3 else { throw EntryDecodeError(.badField, at: field) }
                (self.qos, self.isRetained, self.expiresAtOnce) = (UInt8(flags & 3), flags & 4 != 0, flags & 8 != 0)
                hasFlags = true
            case (4, .bytes(let slice)): self.payload = Array(slice)
            case (5, .number(let left)):
                guard left <= Self.millisecondsMax else { throw EntryDecodeError(.badField, at: field) }
                self.millisecondsLeft = left
            case (6, .number(let format)):
                guard format < 2 else { throw EntryDecodeError(.badField, at: field) }
                self.payloadFormat = UInt8(format)
            case (7, .bytes(let slice)): self.contentType = try Self.text(slice, field)
            case (8, .bytes(let slice)): self.responseTopic = try Self.text(slice, field)
            case (9, .bytes(let slice)):
                guard slice.count <= Int(UInt16.max) else { throw EntryDecodeError(.tooLarge, at: field) }
                self.correlation = Array(slice)
            case (10, .bytes(let slice)):
                guard self.userProperties.count < Self.userPropertiesMax else { throw EntryDecodeError(.tooLarge, at: field) }
                self.userProperties.append(try Self.property(slice))
            case (11, .bytes(let slice)):
                guard let user = UserID(bytes: slice) else { throw EntryDecodeError(.badField, at: field) }
                self.user = user
            case (1...11, _): throw EntryDecodeError(.badField, at: field)
            default: continue
            }
        }
        for (has, field) in [(hasNumber, 1), (hasTopic, 2), (hasFlags, 3)] where !has { throw EntryDecodeError(.missingField, at: UInt64(field)) }
    }

    private static func property(_ bytes: ArraySlice<UInt8>) throws(EntryDecodeError) -> UserProperty {
        let fields = try FieldMap(bytes)
        guard let name = fields.slice(1), let value = fields.slice(2) else { throw EntryDecodeError(.missingField, at: 10) }
        return UserProperty(try Self.text(name, 10), try Self.text(value, 10))
    }

    /// A text of MQTT: well-formed UTF-8 of at most 65,535 bytes without U+0000.
    private static func text(_ bytes: ArraySlice<UInt8>, _ field: UInt64) throws(EntryDecodeError) -> String {
        guard bytes.count <= Int(UInt16.max) else { throw EntryDecodeError(.tooLarge, at: field) }
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else { throw EntryDecodeError(.badField, at: field) }
        return text
    }
}

/// What one message of the channels `x` and `y` holds: `1:run(fix64) 2:message… 3:taken{1:run(fix64) 2:first 3:count}… 4:oldest 5:sent 6:heard`.
///
/// On `y` a receiver answers with what it has taken, once that is where it should be; what was not taken when a link ended is sent again on the next
/// one. On `x` nothing is sent again: sums of bytes tell the sender how much of what it sent is still on its way, so that it can drop the rest.
package struct TopicFrame: Sendable, Hashable {
    /// Messages of a run that a receiver has taken for good: so many from the first number on.
    package struct Taken: Sendable, Hashable {
        package var run: UInt64
        package var first: UInt64
        package var count: UInt64

        package init(run: UInt64, first: UInt64, count: UInt64) {
            self.run = run
            self.first = first
            self.count = count
        }
    }

    /// Messages and stretches of one frame; one with more is refused.
    package static let messagesMax = 256
    package static let takenMax = 1_024
    /// Bytes of messages that a sender puts into one frame, unless a single one is larger.
    package static let bytesMax = 64 * 1024
    /// Bytes of one encoded message: what a link carries, less the rest of a frame.
    package static let messageBytesMax = LinkChannel.payloadBytesMax - 256

    /// A random number of the sender's run: its message numbers begin anew with it.
    package var run: UInt64
    package var messages: [TopicEnvelope]
    package var taken: [Taken]
    /// No message of this run with a smaller number is sent again.
    package var oldest: UInt64
    /// Bytes of messages on `x` over this link, this frame's included.
    package var sent: UInt64?
    /// The greatest `sent` that came from the other side.
    package var heard: UInt64?

    package init(run: UInt64, messages: [TopicEnvelope] = [], taken: [Taken] = [], oldest: UInt64 = 0, sent: UInt64? = nil, heard: UInt64? = nil) {
        self.run = run
        self.messages = messages
        self.taken = taken
        self.oldest = oldest
        self.sent = sent
        self.heard = heard
    }

    package var payload: [UInt8] { self.payload(self.messages.map(\.bytes)) }

    /// With these encoded messages in place of its own: what goes to many boxes is encoded once.
    package func payload(_ messages: [[UInt8]]) -> [UInt8] {
        var writer = FieldWriter(reserving: messages.reduce(64) { $0 + $1.count + 4 })
        writer.fixed64(1, self.run)
        for message in messages { writer.bytes(2, message) }
        for taken in self.taken {
            var inner = FieldWriter(reserving: 24)
            inner.fixed64(1, taken.run)
            inner.varint(2, taken.first)
            inner.varint(3, taken.count)
            writer.bytes(3, inner.bytes)
        }
        if self.oldest > 0 { writer.varint(4, self.oldest) }
        if let sent = self.sent { writer.varint(5, sent) }
        if let heard = self.heard { writer.varint(6, heard) }
        return writer.bytes
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        self.init(run: 0)
        guard payload.count <= LinkChannel.payloadBytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(payload.count)) }
        var reader = FieldReader(payload[...])
        var hasRun = false
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .number(let run)): (self.run, hasRun) = (run, true)
            case (2, .bytes(let slice)):
                guard self.messages.count < Self.messagesMax else { throw EntryDecodeError(.tooLarge, at: field) }
                self.messages.append(try TopicEnvelope(decoding: slice))
            case (3, .bytes(let slice)):
                guard self.taken.count < Self.takenMax else { throw EntryDecodeError(.tooLarge, at: field) }
                let fields = try FieldMap(slice)
                self.taken.append(Taken(run: try fields.required(1), first: try fields.required(2), count: try fields.required(3)))
            case (4, .number(let oldest)): self.oldest = oldest
            case (5, .number(let sent)): self.sent = sent
            case (6, .number(let heard)): self.heard = heard
            case (1...6, _): throw EntryDecodeError(.badField, at: field)
            default: continue
            }
        }
        guard hasRun else { throw EntryDecodeError(.missingField, at: 1) }
    }
}

/// What a box's clients want to hear (`ix`): `1:run(fix64) 2:version 3:filter…`. The whole of it every time; the greater version of a run counts.
package struct TopicInterest: Sendable, Hashable {
    /// Filters of one announcement; one with more is refused.
    package static let filtersMax = 1_000

    package var run: UInt64
    package var version: UInt64
    package var filters: [TopicFilter]

    package init(run: UInt64, version: UInt64, filters: [TopicFilter]) {
        self.run = run
        self.version = version
        self.filters = filters
    }

    package var payload: [UInt8] {
        var writer = FieldWriter(reserving: self.filters.reduce(32) { $0 + $1.text.utf8.count + 4 })
        writer.fixed64(1, self.run)
        writer.varint(2, self.version)
        for filter in self.filters { writer.text(3, filter.text) }
        return writer.bytes
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        self.init(run: 0, version: 0, filters: [])
        guard payload.count <= LinkChannel.payloadBytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(payload.count)) }
        var reader = FieldReader(payload[...])
        var (hasRun, hasVersion) = (false, false)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .number(let run)): (self.run, hasRun) = (run, true)
            case (2, .number(let version)): (self.version, hasVersion) = (version, true)
            case (3, .bytes(let slice)):
                guard self.filters.count < Self.filtersMax else { throw EntryDecodeError(.tooLarge, at: field) }
                guard let text = String(validating: slice, as: UTF8.self), let filter = try? TopicFilter(text), !filter.isShared, !filter.startsWithDollar
                else { throw EntryDecodeError(.badField, at: field) }
                self.filters.append(filter)
            case (1...3, _): throw EntryDecodeError(.badField, at: field)
            default: continue
            }
        }
        guard hasRun && hasVersion else { throw EntryDecodeError(.missingField, at: hasRun ? 2 : 1) }
    }
}
