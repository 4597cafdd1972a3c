package import SkerryModel

/// What a client that was sent to a box carries along: when and where to, so that it is not sent on at once (FEDERATION.md §5). Not signed: who makes one
/// up is only left alone for half a minute.
package struct HopToken: Sendable, Hashable, CustomStringConvertible {
    /// Milliseconds in which nobody is sent on twice.
    package static let restMilliseconds: UInt64 = 30_000
    private static let version: UInt8 = 1
    private static let byteCount = 1 + 1 + 8 + BoxID.byteCount
    /// Characters of its text.
    package static let characterCount = 32

    package var box: BoxID
    package var hops: UInt8
    /// Milliseconds since 1970 by the clock of who made it.
    package var milliseconds: UInt64

    package init(box: BoxID, hops: UInt8, milliseconds: UInt64) {
        self.box = box
        self.hops = hops
        self.milliseconds = milliseconds
    }

    /// Nil for anything that is not exactly such a token.
    package init?(text: String) {
        guard text.utf8.count == Self.characterCount, let bytes = Base32.decode(text), bytes.count == Self.byteCount, bytes.first == Self.version,
            let time = bytes.bigEndian(at: 2), let box = BoxID(bytes.dropFirst(10))
        else { return nil }
        self.init(box: box, hops: bytes[1], milliseconds: time)
    }

    package var description: String {
        var bytes: [UInt8] = [Self.version, self.hops]
        bytes.appendBigEndian(self.milliseconds)
        self.box.append(to: &bytes)
        return Base32.encode(bytes)
    }

    /// Whether whoever carries it was sent on a moment ago. The clocks of boxes differ, and a token from the far future would hold for ever.
    package func isFresh(now milliseconds: UInt64) -> Bool {
        let distance = milliseconds > self.milliseconds ? milliseconds - self.milliseconds : self.milliseconds - milliseconds
        return distance < Self.restMilliseconds
    }

    /// The token of a client that is sent to `box` now.
    package static func next(after old: HopToken?, to box: BoxID, now milliseconds: UInt64) -> HopToken {
        let hops = old.flatMap { $0.isFresh(now: milliseconds) ? $0.hops : nil } ?? 0
        return HopToken(box: box, hops: hops == .max ? .max : hops + 1, milliseconds: milliseconds)
    }
}
