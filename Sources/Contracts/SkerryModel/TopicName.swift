/// The topic of a message: it exists only if it is valid, so nobody below checks again.
///
/// Two names are equal when their bytes are: Swift's `String` would also call differently composed characters equal, and MQTT forbids
/// that [MQTT-4.7.3-4].
package struct TopicName: Sendable, CustomStringConvertible {
    package static let bytesMax = 65_535
    /// Slashes of a name or filter; more is `TopicError.tooDeep`. Mosquitto's limit, and the bound of every walk over levels.
    package static let separatorsMax = 200
    package static let separator = UInt8(ascii: "/")

    package let text: String
    /// One more than there are slashes; empty levels count.
    package let levelCount: Int

    package init(_ text: String) throws(TopicError) {
        let scan = try TopicScan(text)
        guard !scan.hasWildcard else { throw .wildcardInName }
        self.text = text
        self.levelCount = scan.levelCount
    }

    /// Takes bytes from the wire without a detour.
    package init(utf8 bytes: UnsafeRawBufferPointer) throws(TopicError) {
        let scan = try TopicScan(bytes)
        guard !scan.hasWildcard else { throw .wildcardInName }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notUTF8 }
        self.text = text
        self.levelCount = scan.levelCount
    }

    package var byteCount: Int { self.text.utf8.count }
    package var description: String { self.text }
    /// `$SYS/…` and its like: wildcards at the first level do not match it [MQTT-4.7.2-1].
    package var startsWithDollar: Bool { self.text.utf8.first == UInt8(ascii: "$") }
    /// The levels from the first to the last.
    package var levels: TopicLevels { TopicLevels(self.text) }
}

extension TopicName: Hashable {
    package static func == (left: TopicName, right: TopicName) -> Bool { TopicBytes.areEqual(left.text.utf8, right.text.utf8) }
    package func hash(into hasher: inout Hasher) { TopicBytes.hash(self.text.utf8, into: &hasher) }
}

/// What one pass over the bytes of a topic finds: levels, wildcards and the bounds; the encoding is checked by whoever makes the text.
struct TopicScan {
    private(set) var levelCount = 1
    private(set) var hasWildcard = false

    init(_ text: String) throws(TopicError) {
        try self.init(bytes: text.utf8)
    }

    init(_ bytes: UnsafeRawBufferPointer) throws(TopicError) {
        try self.init(bytes: bytes)
    }

    private init(bytes: some Collection<UInt8>) throws(TopicError) {
        let count = bytes.count
        guard count > 0 else { throw .empty }
        guard count <= TopicName.bytesMax else { throw .tooLong }
        var hasNull = false
        for byte in bytes {
            switch byte {
            case TopicName.separator: self.levelCount += 1
            case UInt8(ascii: "+"), UInt8(ascii: "#"): self.hasWildcard = true
            case 0: hasNull = true
            default: break
            }
        }
        guard !hasNull else { throw .nullCharacter }
        guard self.levelCount <= TopicName.separatorsMax + 1 else { throw .tooDeep }
    }
}
