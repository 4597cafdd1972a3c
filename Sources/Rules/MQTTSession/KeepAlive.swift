/// When a client counts as gone: one and a half times its keep-alive without a packet [MQTT-3.1.2-22].
package struct KeepAlive: Sendable, Hashable {
    /// Seconds agreed with the client; 0 = never.
    package let seconds: UInt16
    /// Time of the last packet, in milliseconds.
    package private(set) var lastPacket: UInt64

    package init(seconds: UInt16, now: UInt64) {
        self.seconds = seconds
        self.lastPacket = now
    }

    package mutating func heard(_ now: UInt64) { self.lastPacket = now }

    /// The moment at which the client counts as gone unless a packet comes first; nil = never.
    package var deadline: UInt64? { self.seconds == 0 ? nil : self.lastPacket + UInt64(self.seconds) * 1500 }

    package func isExpired(at now: UInt64) -> Bool { self.deadline.map { now >= $0 } ?? false }
}
