package import Replication

/// Bounds of what goes between two boxes on `x` and `y`.
package struct TopicLimits: Sendable, Hashable {
    /// Messages with QoS 1 and 2 that wait for one box, and their bytes: beyond, new ones are dropped for it and counted.
    package var waitingMax = 10_000
    package var waitingBytesMax = 1 << 20
    /// Of those, sent and not taken yet.
    package var flightMax = 256
    package var flightBytesMax = 256 * 1024
    /// Bytes with QoS 0 on their way to one box: beyond, they are dropped and counted.
    package var liveBytesMax = 512 * 1024
    /// What is sent and not taken for so long is sent again.
    package var retryMilliseconds: UInt64 = 10_000
    /// So long after its link ended, messages with QoS 1 and 2 go on waiting for a box; then it is forgotten until it comes back.
    package var awayMilliseconds: UInt64 = 60_000
    /// Messages of one box that are being given to this box's clients, and their bytes: beyond, they are not taken, and come again with QoS 1 and 2.
    package var arrivingMax = 1_024
    package var arrivingBytesMax = 1 << 20
    /// Numbers of messages of one box that are remembered because they may come again.
    package var rememberedMax = 4_096
    /// Messages of this box's clients, and their bytes, that wait to be sorted: beyond, they are dropped and counted.
    package var unsortedMax = 20_000
    package var unsortedBytesMax = 8 << 20
    /// Boxes whose interest is kept.
    package var boxesMax = 64

    package init() {}
}

/// What waits for one other box, and how much of it is on its way. A value: who calls it sends what it gives.
package struct TopicOutbox: Sendable {
    private struct Waiting: Sendable {
        var number: UInt64
        var bytes: [UInt8]
        /// Of a message that expires: itself, because what is left of its time shrinks while it waits.
        var expiring: (envelope: TopicEnvelope, deadline: UInt64)?
    }

    private let limits: TopicLimits
    private var waiting: [Waiting] = []
    private var waitingBytes = 0
    /// The first of `waiting` are on their way.
    private var flight = 0
    private var flightBytes = 0
    /// When something was taken last, or sent while nothing was on its way.
    private var moved: UInt64 = 0
    package private(set) var isUp = false
    /// Since when there is no link; nil: there is one, or there never was.
    package private(set) var awaySince: UInt64?
    /// QoS 0 over the link that is there: sent, and known to have arrived.
    private var sent: UInt64 = 0
    private var heard: UInt64 = 0
    private var heardAt: UInt64 = 0

    package init(_ limits: TopicLimits) { self.limits = limits }

    package var count: Int { self.waiting.count }
    package var isEmpty: Bool { self.waiting.isEmpty }

    package mutating func linkUp(now: UInt64) {
        (self.isUp, self.awaySince) = (true, nil)
        (self.flight, self.flightBytes, self.moved) = (0, 0, now)
        (self.sent, self.heard, self.heardAt) = (0, 0, now)
    }

    package mutating func linkDown(now: UInt64) {
        (self.isUp, self.awaySince) = (false, now)
        (self.flight, self.flightBytes) = (0, 0)
    }

    /// A message with QoS 1 or 2. False: as much waits as may.
    package mutating func add(_ envelope: TopicEnvelope, _ bytes: [UInt8], now: UInt64) -> Bool {
        guard self.waiting.count < self.limits.waitingMax, self.waitingBytes + bytes.count <= self.limits.waitingBytesMax || self.waiting.isEmpty else {
            return false
        }
        let expiring = envelope.millisecondsLeft.map { (envelope: envelope, deadline: now &+ $0) }
        self.waiting.append(Waiting(number: envelope.number, bytes: bytes, expiring: expiring))
        self.waitingBytes += bytes.count
        return true
    }

    /// The next messages to send and the number of the first that may still come; nil: nothing may go now.
    package mutating func next(now: UInt64, following: UInt64) -> (messages: [[UInt8]], oldest: UInt64)? {
        guard self.isUp else { return nil }
        self.dropExpired(now: now)
        var messages: [[UInt8]] = []
        var byteCount = 0
        while self.flight < self.waiting.count, self.flight < self.limits.flightMax, messages.count < TopicFrame.messagesMax {
            let bytes = self.bytes(at: self.flight, now: now)
            if !messages.isEmpty && byteCount + bytes.count > TopicFrame.bytesMax { break }
            if self.flight > 0 && self.flightBytes + bytes.count > self.limits.flightBytesMax { break }
            if self.flight == 0 { self.moved = now }
            self.flight += 1
            self.flightBytes += bytes.count
            byteCount += bytes.count
            messages.append(bytes)
        }
        return messages.isEmpty ? nil : (messages, self.oldest(following: following))
    }

    /// The number of the first message that may still come; `following` is the number of the next that is made.
    package func oldest(following: UInt64) -> UInt64 { self.waiting.first?.number ?? following }

    private func bytes(at index: Int, now: UInt64) -> [UInt8] {
        let entry = self.waiting[index]
        guard var expiring = entry.expiring, expiring.deadline > now, expiring.envelope.millisecondsLeft != expiring.deadline - now else { return entry.bytes }
        expiring.envelope.millisecondsLeft = expiring.deadline - now
        return expiring.envelope.bytes
    }

    /// Nobody wants them any more; those on their way are not counted again.
    private mutating func dropExpired(now: UInt64) {
        guard self.waiting.dropFirst(self.flight).contains(where: { ($0.expiring?.deadline ?? .max) <= now }) else { return }
        let kept = self.waiting.dropFirst(self.flight).filter { ($0.expiring?.deadline ?? .max) > now }
        self.waiting = self.waiting.prefix(self.flight) + kept
        self.waitingBytes = self.waiting.reduce(0) { $0 + $1.bytes.count }
    }

    /// The box has so many from this number on for good.
    package mutating func taken(_ first: UInt64, _ count: UInt64, now: UInt64) {
        let (end, isOver) = first.addingReportingOverflow(count)
        let last = isOver ? UInt64.max : end
        var kept: [Waiting] = []
        var gone = (count: 0, bytes: 0)
        for entry in self.waiting.prefix(self.flight) {
            if entry.number >= first && entry.number < last {
                gone.count += 1
                gone.bytes += entry.bytes.count
            } else {
                kept.append(entry)
            }
        }
        if gone.count == 0 { return }
        self.waiting.replaceSubrange(0..<self.flight, with: kept)
        self.waitingBytes -= gone.bytes
        self.flight -= gone.count
        self.flightBytes = self.flight == 0 ? 0 : max(0, self.flightBytes - gone.bytes)
        self.moved = now
    }

    /// Whether so many bytes with QoS 0 may go now; they count when they may.
    package mutating func mayGo(_ byteCount: Int) -> Bool {
        guard self.isUp, self.sent - self.heard + UInt64(byteCount) <= UInt64(self.limits.liveBytesMax) || self.sent == self.heard else { return false }
        self.sent += UInt64(byteCount)
        return true
    }

    /// For the frame that carries them.
    package var liveSent: UInt64 { self.sent }

    package mutating func heard(_ sum: UInt64, now: UInt64) {
        guard sum > self.heard else { return }
        self.heard = min(sum, self.sent)
        self.heardAt = now
    }

    /// Once a second. True: what was sent goes again, or the way is free again.
    package mutating func tick(now: UInt64) -> Bool {
        guard self.isUp else { return false }
        var isFree = false
        if self.sent > self.heard, now >= self.heardAt + self.limits.retryMilliseconds {
            // What was on its way is lost, or its receiver says nothing.
            (self.heard, self.heardAt) = (self.sent, now)
            isFree = true
        }
        if self.sent == self.heard { self.heardAt = now }
        if self.flight > 0, now >= self.moved + self.limits.retryMilliseconds {
            (self.flight, self.flightBytes) = (0, 0)
            isFree = true
        }
        return isFree
    }

    /// Whether it has been away for so long that nothing waits for it any more.
    package func isForgotten(now: UInt64) -> Bool { self.awaySince.map { now >= $0 + self.limits.awayMilliseconds } ?? false }
}

/// What came from one other box: each message once, however often it was sent.
package struct TopicInbox: Sendable {
    package enum Admission: Sendable, Hashable {
        case new
        /// It is here for good: say so again.
        case repeated
        /// It is on its way to this box's clients.
        case underWay
        /// Too many are. It is to come again.
        case full
    }

    private let limits: TopicLimits
    private var run: UInt64?
    private var done: Set<UInt64> = []
    private var arriving: [UInt64: Int] = [:]
    private var arrivingBytes = 0
    private var answers: [UInt64] = []
    /// Bytes with QoS 0 that are being given to clients.
    private var liveBytes = 0
    /// The greatest sum of bytes with QoS 0 that came, and that was told.
    private var heard: UInt64 = 0
    private var told: UInt64 = 0

    package init(_ limits: TopicLimits) { self.limits = limits }

    /// Numbers that are remembered.
    package var rememberedCount: Int { self.done.count }

    package mutating func linkUp() { (self.heard, self.told) = (0, 0) }

    /// Of which run what comes now is, and what of it cannot come again.
    package mutating func begin(run: UInt64, oldest: UInt64) {
        if self.run != run {
            self.run = run
            self.done = []
            self.answers = []
            // What is under way of the run before is answered to nobody.
            (self.arriving, self.arrivingBytes) = ([:], 0)
        }
        if oldest > 0, self.done.contains(where: { $0 < oldest }) { self.done = self.done.filter { $0 >= oldest } }
    }

    package mutating func admit(_ number: UInt64, byteCount: Int) -> Admission {
        if self.done.contains(number) {
            self.answers.append(number)
            return .repeated
        }
        if self.arriving[number] != nil { return .underWay }
        guard self.arriving.count < self.limits.arrivingMax, self.arrivingBytes + byteCount <= self.limits.arrivingBytesMax || self.arriving.isEmpty else {
            return .full
        }
        self.arriving[number] = byteCount
        self.arrivingBytes += byteCount
        return .new
    }

    /// It is where it should be, or it could not be put there and is to come again.
    package mutating func finish(run: UInt64, _ number: UInt64, isTaken: Bool) {
        guard run == self.run, let byteCount = self.arriving.removeValue(forKey: number) else { return }
        self.arrivingBytes -= byteCount
        guard isTaken else { return }
        self.answers.append(number)
        self.done.insert(number)
        // Whoever lets it come to this sends more than it may; what is forgotten first is what it sent first.
        if self.done.count > self.limits.rememberedMax, let first = self.done.min() { self.done.remove(first) }
    }

    /// What the box is to hear, in stretches; nil: nothing.
    package mutating func takeAnswers() -> [TopicFrame.Taken]? {
        guard let run = self.run, !self.answers.isEmpty else { return nil }
        var stretches: [TopicFrame.Taken] = []
        for number in self.answers.sorted() {
            if let last = stretches.last, number < last.first &+ last.count { continue }
            if let last = stretches.last, number == last.first &+ last.count {
                stretches[stretches.count - 1].count += 1
            } else {
                stretches.append(TopicFrame.Taken(run: run, first: number, count: 1))
            }
        }
        self.answers = []
        return stretches
    }

    /// Whether so many bytes with QoS 0 may be given to clients now.
    package mutating func mayArrive(_ byteCount: Int) -> Bool {
        guard self.liveBytes + byteCount <= self.limits.arrivingBytesMax || self.liveBytes == 0 else { return false }
        self.liveBytes += byteCount
        return true
    }

    package mutating func arrived(_ byteCount: Int) { self.liveBytes = max(0, self.liveBytes - byteCount) }

    package mutating func sent(_ sum: UInt64) { self.heard = max(self.heard, sum) }

    /// The sum to tell; nil: it is told, or not worth a message yet.
    package mutating func takeHeard(isTick: Bool) -> UInt64? {
        guard self.heard > self.told, isTick || self.heard - self.told >= UInt64(self.limits.liveBytesMax / 8) else { return nil }
        self.told = self.heard
        return self.heard
    }
}
