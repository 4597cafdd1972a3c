import Federation
import Replication
import SkerryModel
import TestKit
import Testing

/// By reference, so that expectations can call what changes it.
private final class Outbox {
    private var value: TopicOutbox

    init(_ limits: TopicLimits) { self.value = TopicOutbox(limits) }
    var count: Int { self.value.count }
    var isEmpty: Bool { self.value.isEmpty }
    func linkUp(now: UInt64) { self.value.linkUp(now: now) }
    func linkDown(now: UInt64) { self.value.linkDown(now: now) }
    func add(_ envelope: TopicEnvelope, now: UInt64) -> Bool { self.value.add(envelope, envelope.bytes, now: now) }
    func next(now: UInt64, following: UInt64) -> (messages: [[UInt8]], oldest: UInt64)? { self.value.next(now: now, following: following) }
    func oldest(following: UInt64) -> UInt64 { self.value.oldest(following: following) }
    func taken(_ first: UInt64, _ count: UInt64, now: UInt64) { self.value.taken(first, count, now: now) }
    func mayGo(_ byteCount: Int) -> Bool { self.value.mayGo(byteCount) }
    func heard(_ sum: UInt64, now: UInt64) { self.value.heard(sum, now: now) }
    func tick(now: UInt64) -> Bool { self.value.tick(now: now) }
}

private final class Inbox {
    private var value: TopicInbox

    init(_ limits: TopicLimits) { self.value = TopicInbox(limits) }
    var rememberedCount: Int { self.value.rememberedCount }
    func begin(run: UInt64, oldest: UInt64) { self.value.begin(run: run, oldest: oldest) }
    func admit(_ number: UInt64, byteCount: Int) -> TopicInbox.Admission { self.value.admit(number, byteCount: byteCount) }
    func finish(run: UInt64, _ number: UInt64, isTaken: Bool) { self.value.finish(run: run, number, isTaken: isTaken) }
    func takeAnswers() -> [TopicFrame.Taken]? { self.value.takeAnswers() }
    func mayArrive(_ byteCount: Int) -> Bool { self.value.mayArrive(byteCount) }
    func arrived(_ byteCount: Int) { self.value.arrived(byteCount) }
}

@Suite("What waits for another box, and what came from it")
struct TopicOutboxTests {
    private func limits(_ change: (inout TopicLimits) -> Void = { _ in }) -> TopicLimits {
        var limits = TopicLimits()
        change(&limits)
        return limits
    }

    private func envelope(_ number: UInt64, _ byteCount: Int = 10, left: UInt64? = nil) -> TopicEnvelope {
        TopicEnvelope(
            number: number, topic: "t", qos: 1, payload: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: byteCount), millisecondsLeft: left)
    }

    private func add(_ number: UInt64, _ byteCount: Int = 10, left: UInt64? = nil, now: UInt64 = 0, to outbox: Outbox) -> Bool {
        outbox.add(self.envelope(number, byteCount, left: left), now: now)
    }

    private func numbers(_ next: (messages: [[UInt8]], oldest: UInt64)?) throws -> [UInt64]? {
        try next.map { try $0.messages.map { try TopicEnvelope(decoding: $0[...]).number } }
    }

    @Test("messages go in order as far as the window reaches, and on as they are taken; all of them again on a new link")
    func window() throws {
        let outbox = Outbox(self.limits { $0.flightMax = 3 })
        for number in 1...5 { #expect(self.add(UInt64(number), to: outbox)) }
        #expect(outbox.next(now: 0, following: 6) == nil, "no link")
        outbox.linkUp(now: 0)
        let first = outbox.next(now: 0, following: 6)
        #expect(try self.numbers(first) == [1, 2, 3] && first?.oldest == 1)
        #expect(outbox.next(now: 0, following: 6) == nil)
        outbox.taken(2, 1, now: 0)
        #expect(try self.numbers(outbox.next(now: 0, following: 6)) == [4])
        outbox.taken(1, 3, now: 0)
        #expect(try self.numbers(outbox.next(now: 0, following: 6)) == [5])
        outbox.linkDown(now: 0)
        outbox.linkUp(now: 0)
        let again = outbox.next(now: 0, following: 6)
        #expect(try self.numbers(again) == [4, 5] && again?.oldest == 4)
        // What nobody sent is not taken, and an answer without an end does no harm.
        outbox.taken(0, .max, now: 0)
        outbox.taken(.max, .max, now: 0)
        #expect(outbox.isEmpty && outbox.oldest(following: 6) == 6)
    }

    @Test("bytes limit what is on its way, what waits and what one frame holds; a single large message goes all the same")
    func bytes() throws {
        let outbox = Outbox(
            self.limits {
                $0.flightBytesMax = 1_000
                $0.waitingBytesMax = 2_000
            })
        outbox.linkUp(now: 0)
        #expect(self.add(1, 5_000, to: outbox))
        #expect(!self.add(2, to: outbox))
        #expect(try self.numbers(outbox.next(now: 0, following: 3)) == [1])
        outbox.taken(1, 1, now: 0)
        for number in 3...5 { _ = self.add(UInt64(number), 600, to: outbox) }
        #expect(try self.numbers(outbox.next(now: 0, following: 6)) == [3])
        #expect(outbox.count == 3)
    }

    @Test("what is silent for ten seconds goes again; what moves does not")
    func retry() throws {
        let outbox = Outbox(self.limits())
        outbox.linkUp(now: 0)
        for number in 1...2 { _ = self.add(UInt64(number), to: outbox) }
        _ = outbox.next(now: 0, following: 3)
        #expect(!outbox.tick(now: 9_999))
        outbox.taken(1, 1, now: 9_999)
        #expect(!outbox.tick(now: 19_998))
        #expect(outbox.tick(now: 19_999))
        #expect(try self.numbers(outbox.next(now: 19_999, following: 3)) == [2])
    }

    @Test("what expires while it waits is not sent, and what is sent says what is left then")
    func expiry() throws {
        let outbox = Outbox(self.limits())
        _ = self.add(1, left: 1_000, now: 0, to: outbox)
        _ = self.add(2, left: 5_000, now: 0, to: outbox)
        _ = self.add(3, now: 0, to: outbox)
        outbox.linkUp(now: 2_000)
        let sent = try (outbox.next(now: 2_000, following: 4)?.messages ?? []).map { try TopicEnvelope(decoding: $0[...]) }
        #expect(sent.map(\.number) == [2, 3] && sent.map(\.millisecondsLeft) == [3_000, nil])
        #expect(outbox.count == 2)
    }

    @Test("QoS 0 stops when too much of it is on its way, goes on when the other side has heard, and never stops for good")
    func live() {
        let outbox = Outbox(self.limits { $0.liveBytesMax = 100 })
        #expect(!outbox.mayGo(10), "no link")
        outbox.linkUp(now: 0)
        #expect(outbox.mayGo(500), "one always goes")
        #expect(!outbox.mayGo(10))
        outbox.heard(450, now: 0)
        #expect(outbox.mayGo(50) && !outbox.mayGo(1))
        outbox.heard(UInt64.max, now: 0)
        #expect(outbox.mayGo(100) && !outbox.mayGo(1))
        #expect(outbox.tick(now: 10_000))
        #expect(outbox.mayGo(100))
    }

    @Test("a message is new once, then under way, then known; what cannot come again is forgotten")
    func once() {
        let inbox = Inbox(self.limits())
        inbox.begin(run: 1, oldest: 1)
        #expect(inbox.admit(1, byteCount: 1) == .new && inbox.admit(1, byteCount: 1) == .underWay)
        #expect(inbox.takeAnswers() == nil)
        inbox.finish(run: 1, 1, isTaken: true)
        #expect(inbox.takeAnswers() == [.init(run: 1, first: 1, count: 1)])
        #expect(inbox.admit(1, byteCount: 1) == .repeated)
        #expect(inbox.takeAnswers() == [.init(run: 1, first: 1, count: 1)], "said again")
        // It could not be written: it may come again.
        #expect(inbox.admit(2, byteCount: 1) == .new)
        inbox.finish(run: 1, 2, isTaken: false)
        #expect(inbox.takeAnswers() == nil && inbox.admit(2, byteCount: 1) == .new)
        inbox.begin(run: 1, oldest: 2)
        #expect(inbox.rememberedCount == 0)
        // Another run counts anew, and answers of the one before go to nobody.
        inbox.begin(run: 9, oldest: 1)
        inbox.finish(run: 1, 2, isTaken: true)
        #expect(inbox.takeAnswers() == nil && inbox.admit(1, byteCount: 1) == .new)
    }

    @Test("answers come as stretches, in order and without doubles")
    func stretches() {
        let inbox = Inbox(self.limits())
        inbox.begin(run: 1, oldest: 1)
        for number in [5, 3, 4, 9, 3] as [UInt64] {
            _ = inbox.admit(number, byteCount: 1)
            inbox.finish(run: 1, number, isTaken: true)
        }
        #expect(inbox.takeAnswers() == [.init(run: 1, first: 3, count: 3), .init(run: 1, first: 9, count: 1)])
    }

    @Test("a box that sends more than may be under way is not listened to until it is less, and no more is remembered than may be")
    func bounds() {
        let inbox = Inbox(
            self.limits {
                $0.arrivingMax = 2
                $0.arrivingBytesMax = 100
                $0.rememberedMax = 3
            })
        inbox.begin(run: 1, oldest: 0)
        #expect(inbox.admit(1, byteCount: 500) == .new && inbox.admit(2, byteCount: 1) == .full)
        inbox.finish(run: 1, 1, isTaken: true)
        #expect(inbox.admit(2, byteCount: 1) == .new && inbox.admit(3, byteCount: 1) == .new && inbox.admit(4, byteCount: 1) == .full)
        for number in 2...9 as ClosedRange<UInt64> {
            _ = inbox.admit(number, byteCount: 1)
            inbox.finish(run: 1, number, isTaken: true)
        }
        #expect(inbox.rememberedCount == 3)
        #expect(inbox.mayArrive(90) && !inbox.mayArrive(20))
        inbox.arrived(90)
        #expect(inbox.mayArrive(500) && !inbox.mayArrive(1))
    }

    @Test("whatever is lost, doubled and cut: each message arrives once, in the end all of them, and both sides keep within their limits")
    func lossy() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<60 {
            let limits = self.limits {
                $0.flightMax = 8
                $0.rememberedMax = 64
            }
            let (outbox, inbox) = (Outbox(limits), Inbox(limits))
            var (now, next, arrived, lost) = (UInt64(0), UInt64(1), [UInt64](), 40)
            outbox.linkUp(now: now)
            var rounds = 0
            while next <= 200 || !outbox.isEmpty {
                rounds += 1
                if rounds > 20_000 { break }
                now += 500
                if next <= 200 {
                    _ = self.add(next, to: outbox)
                    next += 1
                }
                if rounds > 600 { lost = 0 }
                if random.chance(lost / 8) {
                    outbox.linkDown(now: now)
                    outbox.linkUp(now: now)
                }
                _ = outbox.tick(now: now)
                while let sent = outbox.next(now: now, following: next) {
                    for _ in 0..<(random.chance(lost / 4) ? 2 : 1) where !random.chance(lost) {
                        inbox.begin(run: 1, oldest: sent.oldest)
                        for bytes in sent.messages {
                            let number = try TopicEnvelope(decoding: bytes[...]).number
                            guard inbox.admit(number, byteCount: 1) == .new else { continue }
                            let isTaken = !random.chance(lost / 4)
                            if isTaken { arrived.append(number) }
                            inbox.finish(run: 1, number, isTaken: isTaken)
                        }
                    }
                    let answers = inbox.takeAnswers() ?? []
                    if !random.chance(lost) { for answer in answers { outbox.taken(answer.first, answer.count, now: now) } }
                }
                #expect(inbox.rememberedCount <= 64, "seed \(seed)")
            }
            #expect(arrived.sorted() == (1...200).map { UInt64($0) }, "seed \(seed)")
        }
    }
}
