/// An id of sixteen bytes, written as 26 characters of lower-case base32.
package protocol Identifier: Sendable, Hashable, Comparable, CustomStringConvertible {
    var value: Bytes16 { get }
    init(_ value: Bytes16)
}

extension Identifier {
    /// The id written as `text`; nil for anything but the 26 characters that `description` gives.
    package init?(text: some StringProtocol) {
        guard text.utf8.count == 26, let bytes = Base32.decode(text), let value = Bytes16(bytes) else { return nil }
        self.init(value)
    }

    package init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16, let value = Bytes16(bytes) else { return nil }
        self.init(value)
    }

    package init?(bytes: some Collection<UInt8>) {
        guard let value = bytes.withRawBytes({ Self(bytes: $0) }) else { return nil }
        self = value
    }

    package var bytes: [UInt8] { self.value.bytes }
    package var description: String { Base32.encode(self.value.bytes) }
    package static func < (left: Self, right: Self) -> Bool { left.value < right.value }
}

/// A person or a service account.
package struct UserID: Identifier {
    package let value: Bytes16
    package init(_ value: Bytes16) { self.value = value }
}

/// One logged-in client of a user.
package struct DeviceID: Identifier {
    package let value: Bytes16
    package init(_ value: Bytes16) { self.value = value }
}

/// A direct conversation or a group.
package struct ConversationID: Identifier {
    package let value: Bytes16
    package init(_ value: Bytes16) { self.value = value }
}

/// A message, the same on every box: made from the sender and the client's `cid` (PRODUCT.md §3).
package struct MessageID: Identifier {
    package let value: Bytes16
    package init(_ value: Bytes16) { self.value = value }
}

/// An invite or a password reset waiting to be used.
package struct InviteID: Identifier {
    package let value: Bytes16
    package init(_ value: Bytes16) { self.value = value }
}

/// A box: the first 80 bits of the SHA-256 of its TLS key, written as 16 characters of base32 (FEDERATION.md §2.1).
package struct BoxID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package static let byteCount = 10
    private let high: UInt64
    private let low: UInt16

    /// The first ten of `bytes`; nil when there are fewer.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount, let high = bytes.bigEndian(at: 0) else { return nil }
        self.high = high
        self.low = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
    }

    package init?(_ bytes: some Collection<UInt8>) {
        guard let value = bytes.withRawBytes({ Self($0) }) else { return nil }
        self = value
    }

    package init?(text: some StringProtocol) {
        guard text.utf8.count == 16, let bytes = Base32.decode(text), bytes.count == Self.byteCount else { return nil }
        self.init(bytes)
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = []
        self.append(to: &result)
        return result
    }

    package func append(to bytes: inout [UInt8]) {
        bytes.appendBigEndian(self.high)
        bytes.appendBigEndian(self.low)
    }

    package var description: String { Base32.encode(self.bytes) }
    package static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}
