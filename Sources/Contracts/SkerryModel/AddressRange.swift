/// A block of IP addresses: `10.0.0.0/8`, `fd00::/8`, or one address alone.
package struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    private let packed: [UInt8]
    private let length: Int

    /// Nil when it is not an address with an optional `/length`, or has bits behind the length: then more was meant than was written.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let packed = IPText.packed(first) else { return nil }
        var length = packed.count * 8
        if let written = parts.dropFirst().first {
            guard (1...3).contains(written.utf8.count), written.utf8.allSatisfy({ 48...57 ~= $0 }), let number = Int(written), number <= length else {
                return nil
            }
            length = number
        }
        self.packed = packed
        self.length = length
        guard Self.masked(packed, length) == packed else { return nil }
    }

    /// - Parameter address: 4 or 16 bytes in network order. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
    package func contains(_ address: [UInt8]) -> Bool {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        var address = address
        if self.packed.count == 4, address.count == 16, address.starts(with: mapped) { address.removeFirst(12) }
        return address.count == self.packed.count && Self.masked(address, self.length) == self.packed
    }

    private static func masked(_ bytes: [UInt8], _ length: Int) -> [UInt8] {
        bytes.enumerated().map { index, byte in
            let kept = min(8, max(0, length - index * 8))
            return kept == 8 ? byte : byte & ~(0xFF >> UInt8(kept))
        }
    }

    package var description: String { "\(IPText.text(self.packed))/\(self.length)" }
}

/// IP addresses as text, without asking the system: no names, no zones.
package enum IPText {
    /// The 4 or 16 bytes in network order; nil when it is no address.
    package static func packed(_ text: some StringProtocol) -> [UInt8]? {
        guard text.utf8.count <= 45 else { return nil }
        return text.contains(":") ? Self.version6(Substring(text)) : Self.version4(Substring(text))
    }

    private static func version4(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ 48...57 ~= $0 }), part.utf8.count == 1 || part.first != "0",
                let byte = UInt8(part)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    /// RFC 4291 §2.2.
    private static func version6(_ text: Substring) -> [UInt8]? {
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        guard halves.count <= 2, let first = halves.first, let head = Self.groups(first, mayEndAs4: halves.count == 1) else { return nil }
        guard halves.count == 2 else { return head.count == 16 ? head : nil }
        guard let last = halves.last, let tail = Self.groups(last, mayEndAs4: true), head.count + tail.count <= 14 else { return nil }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring, mayEndAs4: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        var bytes: [UInt8] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if part.contains("."), mayEndAs4, index == parts.count - 1 {
                guard let four = Self.version4(part) else { return nil }
                bytes += four
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 < 128 }), part.allSatisfy(\.isHexDigit), let group = UInt16(part, radix: 16)
                else { return nil }
                bytes += [UInt8(group >> 8), UInt8(group & 0xFF)]
            }
        }
        return bytes.count <= 16 ? bytes : nil
    }

    /// As RFC 5952 writes it: `10.0.0.1`, `fd00::1`.
    package static func text(_ packed: [UInt8]) -> String {
        if packed.count == 4 { return packed.map { "\($0)" }.joined(separator: ".") }
        let groups = stride(from: 0, to: packed.count - 1, by: 2).map { String(UInt16(packed[$0]) << 8 | UInt16(packed[$0 + 1]), radix: 16) }
        var (start, longest, index) = (0, 0, 0)
        while index < groups.count {
            let end = groups[index...].firstIndex { $0 != "0" } ?? groups.count
            if end - index > longest { (start, longest) = (index, end - index) }
            index = max(end, index) + 1
        }
        guard longest > 1 else { return groups.joined(separator: ":") }
        return groups[..<start].joined(separator: ":") + "::" + groups[(start + longest)...].joined(separator: ":")
    }
}
