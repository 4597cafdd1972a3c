/// Sixteen bytes held inline: what ids of users, conversations, messages and devices are made of.
package struct Bytes16: Sendable, Hashable, Comparable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The first sixteen of `bytes`; nil when there are fewer.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard let high = bytes.bigEndian(at: 0), let low = bytes.bigEndian(at: 8) else { return nil }
        self.init(high: high, low: low)
    }

    /// As for raw bytes. Other modules cannot specialise what is generic here, so the work is done there: byte by byte it took half of the
    /// writer's time.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let value = bytes.withRawBytes({ Self($0) }) else { return nil }
        self = value
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(16)
        self.append(to: &result)
        return result
    }

    package func append(to bytes: inout [UInt8]) {
        bytes.appendBigEndian(self.high)
        bytes.appendBigEndian(self.low)
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

extension Collection<UInt8> {
    /// The bytes in one piece: where they are when they are in one, else a copy.
    func withRawBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        self.withContiguousStorageIfAvailable { body(UnsafeRawBufferPointer($0)) } ?? Array(self).withUnsafeBytes { body($0) }
    }
}

extension UnsafeRawBufferPointer {
    /// The big-endian number of 8 bytes at `offset`; nil past the end.
    package func bigEndian(at offset: Int) -> UInt64? {
        guard offset >= 0, offset <= self.count - 8 else { return nil }
        return UInt64(bigEndian: self.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

extension [UInt8] {
    /// Appends `value`, most significant byte first, so that the bytes sort as the number does.
    package mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { self.append(contentsOf: $0) }
    }

    /// The big-endian number of `count` bytes (at most 8) at `offset`; nil past the end.
    package func bigEndian(at offset: Int, count: Int = 8) -> UInt64? {
        guard offset >= 0, count <= 8, offset <= self.count - count else { return nil }
        var value: UInt64 = 0
        for index in offset..<(offset + count) { value = (value << 8) | UInt64(self[index]) }
        return value
    }
}
