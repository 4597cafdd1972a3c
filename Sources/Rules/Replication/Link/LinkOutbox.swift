import NIOCore

extension LinkChannel {
    /// Seconds after which a message is worth nothing any more (FEDERATION.md §2.4); nil: it always is.
    package var expirySeconds: UInt32? {
        switch self {
        case .heartbeat: 15
        case .ephemeral: 5
        case .lease: 3
        case .control, .message, .digest, .state, .request, .response, .blob, .topic, .topicAcknowledged, .interest: nil
        }
    }
}

/// What waits for one peer, and how much of it may be on its way: the same for links that this box dialled and for those made to it.
///
/// What is fleeting (QoS 0) goes first and needs no window: a heartbeat must not stand behind a megabyte of batches. Where it is too slow for that, it
/// is dropped. Everything given counts until the peer has taken it or it was dropped.
package struct LinkOutbox {
    /// What became of a message that was given.
    package enum Outcome: Sendable, Hashable {
        case kept
        /// There is no room: it counts as taken.
        case dropped
    }

    private let limits: LinkLimits
    private var fleeting = CircularBuffer<LinkMessage>()
    private var reliable = CircularBuffer<LinkMessage>()
    /// Of QoS 1, given out and not acknowledged.
    private var flyingMessages = 0
    private var flyingBytes = 0
    /// At most so many of QoS 1 at a time, for the peer's sake.
    private var windowMessages: Int
    package private(set) var messages = 0
    package private(set) var bytes = 0
    private var fleetingBytes = 0

    package init(limits: LinkLimits) {
        self.limits = limits
        self.windowMessages = limits.windowMessagesMax
    }

    /// The peer takes no more than so many unacknowledged messages.
    package mutating func narrow(to messages: Int) { self.windowMessages = max(1, min(self.limits.windowMessagesMax, messages)) }

    package mutating func add(_ message: LinkMessage) -> Outcome {
        let count = message.payload.count
        guard self.messages < self.limits.waitingMessagesMax, self.bytes + count <= self.limits.waitingBytesMax else { return .dropped }
        if message.channel.qos == 0 {
            guard self.fleetingBytes + count <= self.limits.fleetingBytesMax else { return .dropped }
            self.fleetingBytes += count
            self.fleeting.append(message)
        } else {
            self.reliable.append(message)
        }
        self.messages += 1
        self.bytes += count
        return .kept
    }

    /// What may be sent now; from then on it is on its way.
    package mutating func next() -> LinkMessage? {
        if let message = self.fleeting.popFirst() { return message }
        guard let first = self.reliable.first, self.flyingMessages < self.windowMessages else { return nil }
        // One message alone may be larger than the window.
        guard self.flyingMessages == 0 || self.flyingBytes + first.payload.count <= self.limits.windowBytesMax else { return nil }
        self.flyingMessages += 1
        self.flyingBytes += first.payload.count
        return self.reliable.popFirst()
    }

    /// A message of so many bytes that was on its way is no longer.
    package mutating func done(_ bytes: Int, qos: UInt8) {
        self.messages -= 1
        self.bytes -= bytes
        if qos == 0 {
            self.fleetingBytes -= bytes
        } else {
            self.flyingMessages -= 1
            self.flyingBytes -= bytes
        }
    }

    package var unacknowledged: Int { self.flyingMessages }
}
