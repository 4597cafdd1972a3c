import Replication
import SkerryModel

/// A person's client: sends with ids, tries again when no answer comes, changes boxes, reads by cursor, and remembers everything it was told.
final class SimClient {
    unowned let world: SimWorld
    let index: Int
    private var box: SimBox
    private var random: SimRandom
    private(set) var cursor = SyncCursor()
    private var sends: [Send] = []
    /// Where each message was shown, by its id.
    private var shown: [TrueEntry?] = []
    private var shownIDs: [Int] = []
    /// The highest position taken of each log.
    private var taken: [UInt64] = []
    private var isReading = false
    /// The stamp of the latest message that was shown.
    private var readUpTo: UInt64 = 0

    private struct Send {
        var id: Int
        var sentAt: UInt64
    }

    init(_ world: SimWorld, index: Int, box: SimBox) {
        self.world = world
        self.index = index
        self.box = box
        self.random = world.random.fork()
    }

    var hasUnanswered: Bool { !self.sends.isEmpty }

    func wake() {
        let every = self.world.profile.actEvery
        self.world.after(self.random.time(every / 2, every * 3 / 2)) {
            self.act()
            self.wake()
        }
    }

    private func act() {
        if !self.box.isUp || self.box.isRemoved || self.random.chance(80) { self.roam() }
        guard self.box.isUp else { return }
        self.retry()
        if self.world.isLiving {
            let profile = self.world.profile
            if self.random.chance(profile.rowsPerMille) {
                let key = self.random.below(profile.rowKeys)
                let isNew = profile.has(.mixedVersions) && self.box.disk.isNewVersion && self.random.chance(500)
                self.submit(isNew ? .newRow(key: profile.rowKeys + key) : .row(key: key))
            } else if self.random.chance(150) {
                if self.readUpTo > 0 { self.submit(.receipt(client: self.index, value: self.readUpTo)) }
            } else if self.sends.count < 3 {
                self.world.messageCount += 1
                let send = Send(id: self.world.messageCount, sentAt: self.world.now)
                self.sends.append(send)
                self.submit(send)
            }
        }
        if self.random.chance(500) { self.read() }
    }

    private func roam() {
        guard let next = self.random.pick(self.world.boxes.filter { $0.isUp && !$0.isRemoved }) else { return }
        self.box = next
    }

    // MARK: - Sending

    /// What has had no answer is sent again, with the same id, to whatever box this is now.
    private func retry() {
        for index in self.sends.indices where self.world.now > self.sends[index].sentAt + 1_200 {
            self.sends[index].sentAt = self.world.now
            self.submit(self.sends[index])
        }
    }

    private func submit(_ send: Send) {
        self.submit(.message(id: send.id)) { entry in
            guard let entry else { return }
            entry.isAcknowledged = true
            self.sends.removeAll { $0.id == send.id }
        }
    }

    private func submit(_ content: ClientWrite.Content, answered: @escaping (TrueEntry?) -> Void = { _ in }) {
        let box = self.box
        guard box.jobs.count < SimBox.jobsMax else { return }
        let isLost = self.random.chance(60)
        let delay = self.random.time(1, 60)
        box.enqueue(
            .write(
                ClientWrite(content: content) { entry in
                    // The answer is lost on the way as often as the person walks out of reach.
                    if isLost { return }
                    self.world.after(delay) { answered(entry) }
                }), within: 0)
    }

    // MARK: - Reading

    private func read() {
        guard !self.isReading else { return }
        self.isReading = true
        let box = self.box
        self.world.after(self.random.time(1, 50)) {
            guard box.isUp else { return self.isReading = false }
            let page = box.page(since: self.cursor, limit: 20)
            self.checkHistory(box)
            let isLost = self.random.chance(60)
            self.world.after(self.random.time(1, 50)) {
                self.isReading = false
                if isLost { return }
                self.take(page, box)
            }
        }
    }

    private func take(_ page: SyncPage, _ box: SimBox) {
        for (log, seq) in self.cursor.seen where page.next.seen[log] ?? 0 < seq {
            return self.world.fail(
                "P5",
                "client \(self.index) is sent back from \(seq) to \(page.next.seen[log] ?? 0) of a log of \(self.world.boxText(log.origin)) by \(box.name)")
        }
        for entry in page.entries { self.show(entry, box) }
        self.cursor = page.next
    }

    private func show(_ entry: TrueEntry, _ box: SimBox) {
        while self.taken.count <= entry.log.index { self.taken.append(0) }
        guard entry.seq > self.taken[entry.log.index] else {
            return self.world.fail("P4", "client \(self.index) is shown \(entry.text) a second time, by \(box.name)")
        }
        self.taken[entry.log.index] = entry.seq
        guard case .message(let id) = entry.kind else { return }
        self.readUpTo = max(self.readUpTo, entry.order.hlc.rawValue)
        while self.shown.count <= id { self.shown.append(nil) }
        // The client drops what it knows; a smaller order moves it.
        if let before = self.shown[id] {
            if entry.order < before.order { self.shown[id] = entry }
            return
        }
        self.shown[id] = entry
        self.shownIDs.append(id)
        self.world.figures.shown += 1
    }

    /// A box that has all that the client has seen shows all of it, each message once.
    private func checkHistory(_ box: SimBox) {
        if let double = box.disk.doubles.first { return self.world.fail("P4", "\(box.name) shows the message of \(double.text) twice") }
        guard box.covers(self.cursor) else { return }
        for id in self.shownIDs {
            guard let entry = self.shown[id], box.disk.message(id) == nil, self.world.mustStay(entry) else { continue }
            return self.world.fail("P5", "client \(self.index) saw \(entry.text); \(box.name), which has all of its cursor, does not show it")
        }
    }

    /// After everything has come together: the client reads to the end and must have seen all there is.
    func finish(_ box: SimBox) {
        while true {
            let page = box.page(since: self.cursor, limit: 100)
            self.take(page, box)
            if page.isDone || self.world.failure != nil { break }
        }
        self.checkHistory(box)
        for entry in box.disk.messages {
            // What a box took of a removed one beyond its cut, before it knew, others have only the hash of.
            guard let entry, entry.seq <= self.world.cut(of: entry.log.index), case .message(let id) = entry.kind else { continue }
            guard id < self.shown.count, let shown = self.shown[id] else {
                return self.world.fail("P5", "client \(self.index) has read to the end and was never shown \(entry.text)")
            }
            if shown !== entry, self.world.mustStay(shown) {
                return self.world.fail("P4", "client \(self.index) sees a message at \(shown.text), the boxes at \(entry.text)")
            }
        }
    }
}

/// What a box answers to a cursor.
struct SyncPage {
    var entries: [TrueEntry] = []
    var next: SyncCursor
    var isDone = true
}

extension SimBox {
    /// What the client has not seen of what is here; a box that lags the cursor gives what it has (FEDERATION.md §2.5.6).
    func page(since cursor: SyncCursor, limit: Int) -> SyncPage {
        var page = SyncPage(next: self.world.options.mutations.contains(.cursorGoesBack) ? SyncCursor() : cursor)
        for (index, image) in self.disk.logs.enumerated() where image.head > 0 {
            let log = self.world.truth.logs[index]
            var seq = cursor.seen[log.id] ?? 0
            while seq < image.head, page.entries.count < limit {
                seq += 1
                if image.place(seq) == .held, let entry = log.entry(seq) { page.entries.append(entry) }
            }
            if seq > 0 { page.next.seen[log.id] = self.world.options.mutations.contains(.cursorGoesBack) ? min(seq, image.head) : seq }
            if seq < image.head { page.isDone = false }
        }
        return page
    }

    func covers(_ cursor: SyncCursor) -> Bool {
        for (id, seq) in cursor.seen {
            guard let log = self.world.truth.log(id), self.disk.log(log.index).head >= seq else { return false }
        }
        return true
    }
}
