/// Which topics a subscriber wants: levels with `+` for any one level and `#` for the rest, perhaps shared by a group.
///
/// Two filters are equal when their texts are, byte by byte, share prefix included: that is the key of a subscription [MQTT-3.8.4-3].
package struct TopicFilter: Sendable, CustomStringConvertible {
    /// As the client wrote it, `$share/{group}/` included.
    package let text: String
    /// The share name of a shared subscription (MQTT 5 §4.8.2); nil for one of the client's own.
    package let shareGroup: String?
    /// What topics are compared with: the text without `$share/{group}/`.
    package let filter: String
    /// Levels of `filter`.
    package let levelCount: Int
    package let hasWildcard: Bool

    package init(_ text: String) throws(TopicError) {
        // The whole text obeys the bounds, then the part that is compared obeys the wildcards' rules.
        let whole = try TopicScan(text)
        self.text = text
        guard let share = try Self.share(text) else {
            (self.shareGroup, self.filter, self.levelCount, self.hasWildcard) = (nil, text, whole.levelCount, whole.hasWildcard)
            if whole.hasWildcard { try Self.checkWildcards(text) }
            return
        }
        let part = try TopicScan(share.filter)
        (self.shareGroup, self.filter, self.levelCount, self.hasWildcard) = (share.group, share.filter, part.levelCount, part.hasWildcard)
        if part.hasWildcard { try Self.checkWildcards(share.filter) }
    }

    /// Takes bytes from the wire; nothing is repaired.
    package init(utf8 bytes: UnsafeRawBufferPointer) throws(TopicError) {
        guard bytes.count <= TopicName.bytesMax else { throw .tooLong }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notUTF8 }
        try self.init(text)
    }

    /// The filter that only this topic matches.
    package init(_ topic: TopicName) throws(TopicError) { try self.init(topic.text) }

    package var isShared: Bool { self.shareGroup != nil }
    package var description: String { self.text }
    package var startsWithDollar: Bool { self.filter.utf8.first == UInt8(ascii: "$") }
    /// The first level of `filter`. By bytes: a slash with an accent behind it is one character, and parts levels all the same.
    package var firstLevel: Substring { Substring(self.filter.utf8.prefix { $0 != TopicName.separator }) }
    /// The levels of `filter`, wildcards among them.
    package var levels: TopicLevels { TopicLevels(self.filter) }

    /// Every topic that matches starts with these bytes: what a scan of retained messages can be limited to.
    ///
    /// "a/+/b" gives "a/"; "a/#" gives "a", because it matches its parent level too (§4.7.1.2).
    package var literalPrefix: String {
        guard self.hasWildcard else { return self.filter }
        let utf8 = self.filter.utf8
        guard let wildcard = utf8.firstIndex(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "#") }) else { return self.filter }
        let isParentToo = utf8[wildcard] == UInt8(ascii: "#") && wildcard > utf8.startIndex
        return String(self.filter[..<(isParentToo ? utf8.index(before: wildcard) : wildcard)])
    }

    // MARK: - Syntax

    private static let sharePrefix = "$share/"

    private static func share(_ text: String) throws(TopicError) -> (group: String, filter: String)? {
        guard text.utf8.starts(with: Self.sharePrefix.utf8) else { return nil }
        let rest = text.utf8.dropFirst(Self.sharePrefix.utf8.count)
        guard let slash = rest.firstIndex(of: TopicName.separator), slash > rest.startIndex else { throw .badShare }
        let group = rest[..<slash]
        guard !group.contains(UInt8(ascii: "+")), !group.contains(UInt8(ascii: "#")) else { throw .badShare }
        let filter = rest[rest.index(after: slash)...]
        guard !filter.isEmpty else { throw .badShare }
        return (String(Substring(group)), String(Substring(filter)))
    }

    private static func checkWildcards(_ filter: String) throws(TopicError) {
        let bytes = filter.utf8
        var before: UInt8?
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            let next = bytes.index(after: index)
            let after = next < bytes.endIndex ? bytes[next] : nil
            switch byte {
            case UInt8(ascii: "#"):
                guard before == nil || before == TopicName.separator, after == nil else { throw .misplacedWildcard }
            case UInt8(ascii: "+"):
                guard before == nil || before == TopicName.separator, after == nil || after == TopicName.separator else { throw .misplacedWildcard }
            default: break
            }
            before = byte
            index = next
        }
    }
}

extension TopicFilter: Hashable {
    package static func == (left: TopicFilter, right: TopicFilter) -> Bool { TopicBytes.areEqual(left.text.utf8, right.text.utf8) }
    package func hash(into hasher: inout Hasher) { TopicBytes.hash(self.text.utf8, into: &hasher) }
}
