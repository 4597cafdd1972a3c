import Replication
import SkerryModel
import Testing

@Suite("what waits for a peer")
struct LinkOutboxTests {
    private static let box = BoxID([UInt8](repeating: 7, count: 10))!

    private static func message(_ channel: LinkChannel, _ bytes: Int, _ mark: UInt8 = 0) -> LinkMessage {
        LinkMessage(origin: Self.box, channel: channel, payload: [UInt8](repeating: mark, count: bytes))
    }

    @Test("no more than the window is on its way, by count and by bytes")
    func window() {
        var limits = LinkLimits()
        limits.windowMessagesMax = 3
        limits.windowBytesMax = 1_000
        var outbox = LinkOutbox(limits: limits)
        for mark in 0..<5 as Range<UInt8> { #expect(outbox.add(Self.message(.message, 10, mark)) == .kept) }
        for mark in 0..<3 as Range<UInt8> { #expect(outbox.next()?.payload.first == mark) }
        #expect(outbox.next() == nil)
        outbox.done(10, qos: 1)
        #expect(outbox.next()?.payload.first == 3)

        outbox = LinkOutbox(limits: limits)
        for _ in 0..<3 { _ = outbox.add(Self.message(.message, 400)) }
        #expect(outbox.next() != nil)
        #expect(outbox.next() != nil)
        #expect(outbox.next() == nil)
        outbox.done(400, qos: 1)
        #expect(outbox.next() != nil)
    }

    @Test("one message alone goes even when it is larger than the window")
    func large() {
        var limits = LinkLimits()
        limits.windowBytesMax = 100
        var outbox = LinkOutbox(limits: limits)
        _ = outbox.add(Self.message(.message, 5_000))
        _ = outbox.add(Self.message(.message, 1))
        #expect(outbox.next()?.payload.count == 5_000)
        #expect(outbox.next() == nil)
    }

    @Test("what is fleeting goes first and needs no window")
    func fleeting() {
        var limits = LinkLimits()
        limits.windowMessagesMax = 1
        var outbox = LinkOutbox(limits: limits)
        for _ in 0..<3 { _ = outbox.add(Self.message(.message, 10)) }
        _ = outbox.next()
        _ = outbox.add(Self.message(.heartbeat, 20))
        #expect(outbox.next()?.channel == .heartbeat)
        #expect(outbox.next() == nil)
    }

    @Test("at each bound a message is dropped, and room comes back")
    func bounds() {
        var limits = LinkLimits()
        limits.waitingMessagesMax = 4
        limits.waitingBytesMax = 1_000
        limits.fleetingBytesMax = 300
        var outbox = LinkOutbox(limits: limits)
        for _ in 0..<4 { #expect(outbox.add(Self.message(.message, 1)) == .kept) }
        #expect(outbox.add(Self.message(.message, 1)) == .dropped)
        _ = outbox.next()
        #expect(outbox.add(Self.message(.message, 1)) == .dropped)
        outbox.done(1, qos: 1)
        #expect(outbox.add(Self.message(.message, 997)) == .kept)
        #expect(outbox.bytes == 1_000)

        outbox = LinkOutbox(limits: limits)
        #expect(outbox.add(Self.message(.message, 999)) == .kept)
        #expect(outbox.add(Self.message(.message, 2)) == .dropped)
        outbox = LinkOutbox(limits: limits)
        #expect(outbox.add(Self.message(.ephemeral, 300)) == .kept)
        #expect(outbox.add(Self.message(.ephemeral, 1)) == .dropped)
        #expect(outbox.add(Self.message(.message, 1)) == .kept)
        _ = outbox.next()
        #expect(outbox.add(Self.message(.ephemeral, 1)) == .dropped)
        outbox.done(300, qos: 0)
        #expect(outbox.add(Self.message(.ephemeral, 1)) == .kept)
        #expect(outbox.messages == 2 && outbox.bytes == 2)
    }

    @Test("a peer that takes less is given less")
    func narrow() {
        var outbox = LinkOutbox(limits: LinkLimits())
        outbox.narrow(to: 2)
        for _ in 0..<5 { _ = outbox.add(Self.message(.message, 1)) }
        #expect(outbox.next() != nil && outbox.next() != nil && outbox.next() == nil)
    }
}
