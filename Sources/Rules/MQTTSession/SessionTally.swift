import NIOCore

/// What was written for a client: three additions a message where every message passes anyway, so that counting costs nothing there.
package struct SessionTally: Sendable, Hashable {
    /// Packets of every kind.
    package var packets = 0
    package var publishes = 0
    /// Payloads of the PUBLISH packets.
    package var publishBytes = 0

    package init() {}

    mutating func note(_ message: ApplicationMessage) {
        self.packets += 1
        self.publishes += 1
        self.publishBytes += message.payload.readableBytes
    }
}
