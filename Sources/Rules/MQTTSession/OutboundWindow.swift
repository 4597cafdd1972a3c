package import DequeModule

/// What is still owed of one QoS 1 or 2 message towards a client.
package struct OutboundEntry<Message> {
    /// Where the exchange stands, seen from the server [MQTT-4.3.2], [MQTT-4.3.3].
    package enum State: Sendable, Hashable {
        /// Not sent on this connection yet.
        case waiting
        /// PUBLISH sent; PUBACK or PUBREC is awaited.
        case sent
        /// PUBREC came; its note is on its way to the disk, PUBREL goes out after it.
        case releasing
        /// PUBREL sent or to be sent again; PUBCOMP is awaited.
        case released
        /// Nothing more is owed; kept only until everything before it is done too.
        case done
    }

    package let seq: UInt64
    /// The message; nil once it need not be sent again.
    package var message: Message?
    /// 1 or 2.
    package let qos: UInt8
    /// The RETAIN flag towards this client.
    package let isRetained: Bool
    package let subscriptionIDs: [UInt32]
    /// What the message counts for under a limit of bytes.
    package let byteCount: Int
    /// The shared subscription that chose this client, as subscribed: what it does not take is for another member. Nil: its own.
    package let share: String?
    package var state: State

    package init(
        seq: UInt64, message: Message?, qos: UInt8, isRetained: Bool, subscriptionIDs: [UInt32] = [], byteCount: Int = 0, share: String? = nil,
        state: State = .waiting
    ) {
        self.seq = seq
        self.message = message
        self.qos = qos
        self.isRetained = isRetained
        self.subscriptionIDs = subscriptionIDs
        self.byteCount = byteCount
        self.share = share
        self.state = state
    }

    /// Packet identifiers follow from the number, so a restart finds the one a half-finished exchange had without having written it down.
    package var packetID: UInt16 { OutboundNumbering.packetID(of: self.seq) }
}

package enum OutboundNumbering {
    /// 1, 2, 3 … 65535, 1 … in delivery order.
    package static func packetID(of seq: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: (seq &- 1) % 65_535 &+ 1) }
}

/// QoS 1 and 2 towards one client: a window in memory over a queue that may be longer on disk.
///
/// Numbers are given in delivery order. What fits is in `entries`; once something did not fit, everything after it waits on disk until the
/// window has drained and asks for a page (`wantsPage`). A durable window sends nothing whose row is not committed yet.
package struct OutboundWindow<Message> {
    /// Entries kept in memory; above, a durable session relies on the disk and any other one drops.
    package let entriesMax: Int
    /// Whether entries are rows on the disk as well.
    package let isDurable: Bool
    package private(set) var entries = Deque<OutboundEntry<Message>>()
    /// Index of the first entry that may be `.waiting`.
    private var cursor = 0
    /// The number given last.
    package private(set) var lastSeq: UInt64
    /// Every number up to here is in `entries` or was.
    package private(set) var windowEnd: UInt64
    /// Rows up to here are on the disk.
    package private(set) var committedSeq: UInt64
    /// Entries up to here were sent once, on this connection or an earlier one: sent again they are duplicates [MQTT-3.3.1-1].
    package private(set) var sentSeq: UInt64
    /// Of entries up to here it is not known whether they were sent: a connection was there when the power went.
    private let uncertainSeq: UInt64
    /// What was not sent up to here was dropped on the disk, to make room for newer messages.
    private var droppedSeq: UInt64 = 0
    /// PUBLISH packets sent and not finished.
    package private(set) var inFlight = 0
    /// Bytes of the entries that are not finished.
    package private(set) var byteCount = 0
    private var isPageRequested = false
    /// Entries that are done and still there, because something before them is not.
    private var doneCount = 0
    /// As many may stay before they are taken out: one that is never acknowledged must not fill the window with what is done behind it.
    private static var doneMax: Int { 32 }

    /// - Parameter after: the number given last, on an earlier connection or before a restart; all of it is committed.
    /// - Parameter isSentCertain: false when `sentSeq` is only the most that may have been sent.
    package init(
        entriesMax: Int, isDurable: Bool, after lastSeq: UInt64 = 0, sent sentSeq: UInt64 = 0, isSentCertain: Bool = true,
        acknowledged through: UInt64 = 0
    ) {
        self.entriesMax = max(1, entriesMax)
        self.isDurable = isDurable
        self.lastSeq = lastSeq
        self.committedSeq = lastSeq
        self.sentSeq = sentSeq
        self.uncertainSeq = isSentCertain ? 0 : sentSeq
        self.windowEnd = isDurable ? min(through, lastSeq) : lastSeq
    }

    /// Whether rows beyond the window wait on disk.
    package var isBehind: Bool { self.windowEnd < self.lastSeq }
    package var isEmpty: Bool { self.entries.isEmpty && !self.isBehind }
    package var hasRoom: Bool { self.entries.count < self.entriesMax }

    /// Numbers a message. Nil: it does not fit and is dropped, which happens to sessions that are not durable only.
    package mutating func append(
        _ message: Message, qos: UInt8, isRetained: Bool, subscriptionIDs: [UInt32] = [], byteCount: Int = 0, share: String? = nil
    ) -> UInt64? {
        let fits = self.hasRoom && !self.isBehind
        if !fits && !self.isDurable { return nil }
        self.lastSeq += 1
        if fits {
            self.append(
                OutboundEntry(
                    seq: self.lastSeq, message: message, qos: qos, isRetained: isRetained, subscriptionIDs: subscriptionIDs, byteCount: byteCount,
                    share: share))
        }
        if !self.isDurable { self.committedSeq = self.lastSeq }
        return self.lastSeq
    }

    /// Takes a row that was numbered and committed by whoever writes the queue; numbers rise, and may leave gaps.
    ///
    /// - Parameter keeps: whether somebody is connected; an absent client's rows stay on the disk alone.
    package mutating func take(_ entry: OutboundEntry<Message>, keeps: Bool) {
        // A page that was read in between may have brought it already.
        guard entry.seq > self.lastSeq else { return }
        let fits = keeps && self.hasRoom && !self.isBehind
        self.lastSeq = entry.seq
        self.committedSeq = entry.seq
        if fits { self.append(entry) }
    }

    /// The connection ended. A durable window forgets what is on the disk anyway and reads it again for the next connection.
    package mutating func disconnected() {
        guard self.isDurable else { return }
        if let first = self.entries.first { self.windowEnd = first.seq - 1 }
        self.entries.removeAll()
        self.doneCount = 0
        self.cursor = 0
        self.inFlight = 0
        self.byteCount = 0
        self.isPageRequested = false
    }

    private mutating func append(_ entry: OutboundEntry<Message>) {
        self.entries.append(entry)
        self.byteCount += entry.byteCount
        self.windowEnd = entry.seq
    }

    /// Numbers a message that goes to the disk only: nobody is connected.
    package mutating func appendToDisk() -> UInt64 {
        self.lastSeq += 1
        return self.lastSeq
    }

    /// Rows up to `seq` are on the disk.
    package mutating func committed(through seq: UInt64) { if seq > self.committedSeq { self.committedSeq = min(seq, self.lastSeq) } }

    // MARK: Sending

    /// The next entry that may be sent under `receiveMaximum` [MQTT-3.3.4-9]; nil when nothing may.
    ///
    /// Packet identifiers in use at the same time differ: sending stops while the oldest open exchange is a whole turn behind.
    package mutating func nextToSend(receiveMaximum: Int) -> OutboundEntry<Message>? {
        guard self.inFlight < receiveMaximum else { return nil }
        while self.cursor < self.entries.count, self.entries[self.cursor].state != .waiting { self.cursor += 1 }
        guard self.cursor < self.entries.count else { return nil }
        let entry = self.entries[self.cursor]
        guard entry.seq <= self.committedSeq, let first = self.entries.first, entry.seq - first.seq < 65_535 else { return nil }
        return entry
    }

    /// `nextToSend` was sent. Returns whether it had been sent before.
    package mutating func markSent() -> Bool {
        guard self.cursor < self.entries.count else { return false }
        self.entries[self.cursor].state = .sent
        self.inFlight += 1
        let seq = self.entries[self.cursor].seq
        self.cursor += 1
        if seq <= self.sentSeq { return true }
        self.sentSeq = seq
        return false
    }

    /// `nextToSend` need not be sent any more (expired, too large for this client). Returns its number.
    package mutating func skip() -> UInt64? {
        guard self.cursor < self.entries.count else { return nil }
        let seq = self.entries[self.cursor].seq
        self.entries[self.cursor].state = .done
        self.entries[self.cursor].message = nil
        self.byteCount -= self.entries[self.cursor].byteCount
        self.cursor += 1
        self.doneCount += 1
        self.popDone()
        return seq
    }

    /// Whether the exchange of this entry has begun, so that it must go on [MQTT-4.4.0-1] although the message has expired meanwhile. Where that
    /// is not certain, QoS 2 goes on: the client may know the packet identifier.
    package func wasSent(_ entry: OutboundEntry<Message>) -> Bool {
        entry.seq <= self.sentSeq && (entry.qos == 2 || entry.seq > self.uncertainSeq)
    }

    // MARK: Dropping

    /// Drops the oldest message that is not in flight, of a window that has no rows. Returns its bytes; nil: everything is in flight.
    package mutating func dropOldest() -> Int? {
        while self.cursor < self.entries.count, self.entries[self.cursor].state != .waiting { self.cursor += 1 }
        guard !self.isDurable, self.cursor < self.entries.count else { return nil }
        // Taken out, and not left behind what is in flight: it would go on taking up room.
        let byteCount = self.entries.remove(at: self.cursor).byteCount
        self.byteCount -= byteCount
        return byteCount
    }

    /// Rows that were never sent are gone from the disk, up to this one: whoever writes the queue made room for newer messages.
    package mutating func dropped(through seq: UInt64) {
        self.droppedSeq = max(self.droppedSeq, seq)
        // All of them are at the cursor or behind it.
        for entry in self.entries where self.isDropped(entry) { self.byteCount -= entry.byteCount }
        let (droppedSeq, sentSeq) = (self.droppedSeq, self.sentSeq)
        self.entries.removeAll { $0.state == .waiting && $0.seq <= droppedSeq && $0.seq > sentSeq }
    }

    private func isDropped(_ entry: OutboundEntry<Message>) -> Bool {
        entry.state == .waiting && entry.seq <= self.droppedSeq && entry.seq > self.sentSeq
    }

    /// What shared subscriptions chose this client for and it did not take: for another member. With QoS 2 a message is its own from the first
    /// PUBLISH on, whatever becomes of its session [MQTT-4.8.2-5].
    package var untakenShares: [OutboundEntry<Message>] {
        self.entries.filter {
            $0.share != nil && $0.message != nil && ($0.state == .waiting || $0.state == .sent) && ($0.qos == 1 || $0.seq > self.sentSeq)
        }
    }

    // MARK: Acknowledgements

    package enum Acknowledgement: Sendable, Hashable {
        /// The exchange is over; the row with this number can go.
        case finished(UInt64)
        /// The row must be marked before PUBREL is sent; then call `released`.
        case release(UInt64)
        /// PUBREL is to be sent (again) at once.
        case sendRelease
        /// The note of an earlier PUBREC is still on its way: nothing to do.
        case underWay
        /// No exchange with this identifier awaits this packet.
        case unknown
    }

    package mutating func puback(_ packetID: UInt16) -> Acknowledgement {
        guard let index = self.index(of: packetID), self.entries[index].qos == 1, self.entries[index].state == .sent else { return .unknown }
        return self.finish(index)
    }

    package mutating func pubrec(_ packetID: UInt16, isFailure: Bool) -> Acknowledgement {
        guard let index = self.index(of: packetID), self.entries[index].qos == 2 else { return .unknown }
        switch self.entries[index].state {
        case .sent:
            // The client refused it: the exchange is over without PUBREL (MQTT 5 §4.3.3).
            if isFailure { return self.finish(index) }
            self.entries[index].message = nil
            guard self.isDurable else {
                self.entries[index].state = .released
                return .sendRelease
            }
            self.entries[index].state = .releasing
            return .release(self.entries[index].seq)
        case .releasing: return .underWay
        case .released: return .sendRelease
        case .waiting, .done: return .unknown
        }
    }

    package mutating func pubcomp(_ packetID: UInt16) -> Acknowledgement {
        guard let index = self.index(of: packetID), self.entries[index].state == .released else { return .unknown }
        return self.finish(index)
    }

    /// The note of a PUBREC is on the disk. Returns the packet identifier for PUBREL; nil when the exchange is gone.
    package mutating func released(_ seq: UInt64) -> UInt16? {
        guard let index = self.index(ofSeq: seq), self.entries[index].state == .releasing else { return nil }
        self.entries[index].state = .released
        return self.entries[index].packetID
    }

    // MARK: Pages

    /// Whether the window has drained enough to take a page from the disk. True once per page.
    package mutating func wantsPage() -> Bool {
        guard self.isDurable, self.isBehind, !self.isPageRequested, self.windowEnd < self.committedSeq else { return false }
        guard self.entries.count <= self.entriesMax / 2 else { return false }
        self.isPageRequested = true
        return true
    }

    /// Takes the rows after `windowEnd`. `isComplete`: the disk had no further committed row when it was read.
    ///
    /// Released entries are sent as PUBREL, in their place [MQTT-4.6.0-4].
    package mutating func load(_ page: [OutboundEntry<Message>], through end: UInt64) {
        self.isPageRequested = false
        for entry in page where entry.seq > self.windowEnd && entry.seq <= self.lastSeq && !self.isDropped(entry) {
            self.append(entry)
            if entry.state == .released { self.inFlight += 1 }
        }
        if end > self.windowEnd { self.windowEnd = min(end, self.lastSeq) }
    }

    /// The page could not be read; it may be asked for again.
    package mutating func pageFailed() { self.isPageRequested = false }

    /// Packet identifiers whose PUBREL has to be sent again after a reconnection.
    package var releasedIDs: [UInt16] { self.entries.filter { $0.state == .released }.map(\.packetID) }

    // MARK: -

    private mutating func finish(_ index: Int) -> Acknowledgement {
        let seq = self.entries[index].seq
        self.entries[index].state = .done
        self.entries[index].message = nil
        self.byteCount -= self.entries[index].byteCount
        self.inFlight -= 1
        self.doneCount += 1
        self.popDone()
        return .finished(seq)
    }

    private mutating func popDone() {
        while let first = self.entries.first, first.state == .done {
            self.entries.removeFirst()
            self.doneCount -= 1
            if self.cursor > 0 { self.cursor -= 1 }
        }
        guard self.doneCount > Self.doneMax, self.doneCount > self.entries.count / 2 else { return }
        self.cursor -= self.entries.prefix(self.cursor).count { $0.state == .done }
        self.entries.removeAll { $0.state == .done }
        self.doneCount = 0
    }

    private func index(of packetID: UInt16) -> Int? {
        guard packetID != 0, let first = self.entries.first else { return nil }
        let turn = (UInt64(packetID) + 65_535 - UInt64(first.packetID)) % 65_535
        return self.index(ofSeq: first.seq + turn)
    }

    /// Numbers rise by one but for gaps, so the place is at most `seq - first` and nearly always exactly there.
    private func index(ofSeq seq: UInt64) -> Int? {
        guard let first = self.entries.first, seq >= first.seq, !self.entries.isEmpty else { return nil }
        var (low, high) = (0, Int(min(seq - first.seq, UInt64(self.entries.count - 1))))
        if self.entries[high].seq == seq { return high }
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].seq < seq { low = middle + 1 } else { high = middle }
        }
        return self.entries[low].seq == seq ? low : nil
    }
}
