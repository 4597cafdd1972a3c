/// One level of a topic or filter, compared byte by byte [MQTT-4.7.3-4].
package struct TopicLevel: Sendable, Hashable, CustomStringConvertible {
    package let text: Substring

    package init(_ text: Substring) { self.text = text }

    package var description: String { String(self.text) }
    package static func == (left: TopicLevel, right: TopicLevel) -> Bool { TopicBytes.areEqual(left.text.utf8, right.text.utf8) }
    package func hash(into hasher: inout Hasher) { TopicBytes.hash(self.text.utf8, into: &hasher) }
}

/// The levels of a topic or filter, first to last; "a//b" has three, the second empty (MQTT 5 §4.7.1.1).
package struct TopicLevels: Sequence, IteratorProtocol, Sendable {
    private var rest: Substring?

    init(_ text: String) { self.rest = Substring(text) }

    package mutating func next() -> TopicLevel? {
        guard let rest = self.rest else { return nil }
        guard let slash = rest.utf8.firstIndex(of: TopicName.separator) else {
            self.rest = nil
            return TopicLevel(rest)
        }
        self.rest = rest[rest.utf8.index(after: slash)...]
        return TopicLevel(rest[..<slash])
    }
}

/// Comparison and hash by bytes, which is what MQTT means by equal.
package enum TopicBytes {
    package static func areEqual<Bytes: Collection<UInt8>>(_ left: Bytes, _ right: Bytes) -> Bool {
        let viaStorage: Bool?? = left.withContiguousStorageIfAvailable { left in
            right.withContiguousStorageIfAvailable { right in left.count == right.count && left.elementsEqual(right) }
        }
        if case .some(.some(let isEqual)) = viaStorage { return isEqual }
        return left.elementsEqual(right)
    }

    package static func hash(_ bytes: some Collection<UInt8>, into hasher: inout Hasher) {
        let isDone: Void? = bytes.withContiguousStorageIfAvailable { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        if isDone == nil { Array(bytes).withUnsafeBytes { hasher.combine(bytes: $0) } }
        // Ends the field: "a" + "bc" is not "ab" + "c".
        hasher.combine(UInt8(0xFF))
    }
}
