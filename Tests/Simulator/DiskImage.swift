import Replication
import SkerryModel

/// What a box has of one epoch.
struct LogImage {
    /// Of each sequence from 1 on.
    enum Place: UInt8 {
        /// Never came, or dropped together with its batch.
        case gone
        case held
        /// Only its hash is left.
        case dropped
    }

    struct Signed {
        var first: UInt64
        var last: UInt64
        var signature: [UInt8]
    }

    var head: UInt64 = 0
    var lowWater: UInt64 = 0
    var places: [Place] = []
    /// The batches that others signed, by rising last sequence.
    var signed: [Signed] = []

    func place(_ seq: UInt64) -> Place { seq >= 1 && seq <= UInt64(self.places.count) ? self.places[Int(seq) - 1] : .gone }

    /// The signed batch that brought `seq`.
    func batch(covering seq: UInt64) -> Int? {
        var (low, high) = (0, self.signed.count)
        while low < high {
            let middle = (low + high) / 2
            if self.signed[middle].last < seq { low = middle + 1 } else { high = middle }
        }
        return low < self.signed.count && self.signed[low].first <= seq ? low : nil
    }
}

/// The tables of one box: a value, so that a backup is a copy.
struct DiskImage {
    private(set) var logs: [LogImage] = []
    /// By message id: where it is shown.
    private(set) var messages: [TrueEntry?] = []
    /// With the mutation that shows an id twice: the second ones.
    private(set) var doubles: [TrueEntry] = []
    private(set) var rows: [TrueEntry?] = []
    private(set) var receipts: [UInt64] = []
    private(set) var members: [BoxID: EngineMember]
    private var memberOrders: [BoxID: Order] = [:]
    var kept: [String: [UInt8]] = [:]
    var startCounter: UInt64 = 0
    var stamp: UInt64 = 0
    /// With the mutation that uses one epoch for ever.
    var fixedEpoch: UInt64?
    /// Whether entries of the new types are applied.
    var isNewVersion: Bool

    init(members: [BoxID: EngineMember], isNewVersion: Bool) {
        self.members = members
        self.isNewVersion = isNewVersion
    }

    func log(_ index: Int) -> LogImage { index < self.logs.count ? self.logs[index] : LogImage() }
    func receipt(_ client: Int) -> UInt64 { client < self.receipts.count ? self.receipts[client] : 0 }
    func message(_ id: Int) -> TrueEntry? { id < self.messages.count ? self.messages[id] : nil }

    mutating func extend(_ index: Int) { while self.logs.count <= index { self.logs.append(LogImage()) } }

    // MARK: - Writing

    /// The head moves over sequences of which nothing is left.
    mutating func skip(_ log: TrueLog, upTo seq: UInt64) {
        self.extend(log.index)
        while self.logs[log.index].head < seq {
            self.logs[log.index].places.append(.gone)
            self.logs[log.index].head += 1
        }
        // Only what is missing from the start on is below the low-water mark.
        var low = self.logs[log.index].lowWater
        while low < seq, self.logs[log.index].place(low + 1) == .gone { low += 1 }
        self.logs[log.index].lowWater = low
    }

    mutating func append(_ entry: TrueEntry, _ mutations: SimMutations) {
        self.extend(entry.log.index)
        self.logs[entry.log.index].places.append(.held)
        self.logs[entry.log.index].head += 1
        self.apply(entry, mutations)
    }

    mutating func appendDropped(_ log: TrueLog) {
        self.extend(log.index)
        self.logs[log.index].places.append(.dropped)
        self.logs[log.index].head += 1
    }

    mutating func sign(_ log: TrueLog, _ signed: LogImage.Signed) {
        self.extend(log.index)
        self.logs[log.index].signed.append(signed)
    }

    /// Rows take the greater order, messages the smaller, registers the greater value.
    private mutating func apply(_ entry: TrueEntry, _ mutations: SimMutations) {
        switch entry.kind {
        case .message(let id):
            while self.messages.count <= id { self.messages.append(nil) }
            guard let existing = self.messages[id] else {
                self.messages[id] = entry
                return
            }
            if mutations.contains(.sameIDBothShown) { self.doubles.append(entry) }
            if entry.order < existing.order { self.messages[id] = entry }
        case .row(let key): self.applyRow(key, entry, mutations)
        case .newRow(let key): if self.isNewVersion { self.applyRow(key, entry, mutations) }
        case .receipt(let client, let value):
            while self.receipts.count <= client { self.receipts.append(0) }
            self.receipts[client] = max(self.receipts[client], value)
        case .member(let box, let member):
            if let order = self.memberOrders[box], order > entry.order { return }
            // Removed is for ever.
            if self.members[box]?.standing == .removed, member.standing != .removed { return }
            self.members[box] = member
            self.memberOrders[box] = entry.order
        }
    }

    private mutating func applyRow(_ key: Int, _ entry: TrueEntry, _ mutations: SimMutations) {
        while self.rows.count <= key { self.rows.append(nil) }
        if let existing = self.rows[key], existing.order > entry.order, !mutations.contains(.lastArrivalWins) { return }
        self.rows[key] = entry
    }

    /// After an upgrade: what was stored without being understood is applied.
    mutating func upgrade(_ truth: Truth, _ mutations: SimMutations) {
        guard !self.isNewVersion else { return }
        self.isNewVersion = true
        for (index, log) in self.logs.enumerated() {
            for (offset, place) in log.places.enumerated() where place == .held {
                guard let entry = truth.logs[index].entry(UInt64(offset) + 1), case .newRow(let key) = entry.kind else { continue }
                self.applyRow(key, entry, mutations)
            }
        }
    }

    // MARK: - Reading

    /// Own batches carry no signature yet; others' go as they were signed.
    func range(_ log: TrueLog, from seq: UInt64, bytesMax: Int, isOwn: Bool, _ mutations: SimMutations) -> RangeAnswer {
        let image = self.log(log.index)
        guard seq >= 1, seq <= image.head else { return .absent }
        if image.place(seq) == .gone {
            if mutations.contains(.lowWaterForgotten) { return .absent }
            var last = seq
            while last < image.head, image.place(last + 1) == .gone { last += 1 }
            return .skipped(upTo: last)
        }
        var batches: [Batch] = []
        var bytes = 0
        var next = seq
        while next <= image.head, batches.isEmpty || bytes < bytesMax {
            let batch: Batch
            if let index = image.batch(covering: next) {
                let signed = image.signed[index]
                batch = Batch(
                    log: log.id, firstSeq: signed.first, items: Self.items(log, image, signed.first, signed.last), signature: signed.signature)
            } else if isOwn, image.place(next) != .gone {
                batch = Batch(log: log.id, firstSeq: next, items: Self.ownItems(log, image, next, bytesMax - bytes))
            } else {
                break
            }
            for item in batch.items { if case .entry(let entry) = item { bytes += entry.count } else { bytes += 32 } }
            if !batches.isEmpty, bytes > bytesMax { break }
            batches.append(batch)
            next = batch.lastSeq + 1
        }
        return batches.isEmpty ? .absent : .batches(batches)
    }

    private static func items(_ log: TrueLog, _ image: LogImage, _ first: UInt64, _ last: UInt64) -> [BatchItem] {
        var items: [BatchItem] = []
        for seq in first...max(first, last) {
            guard let entry = log.entry(seq) else { break }
            items.append(image.place(seq) == .held ? .entry(entry.bytes) : .dropped(hash: entry.hash))
        }
        return items
    }

    private static func ownItems(_ log: TrueLog, _ image: LogImage, _ first: UInt64, _ bytesMax: Int) -> [BatchItem] {
        var items: [BatchItem] = []
        var bytes = 0
        var seq = first
        while seq <= image.head, image.place(seq) != .gone, image.batch(covering: seq) == nil, items.count < Batch.entriesMax / 4 {
            guard let entry = log.entry(seq) else { break }
            if !items.isEmpty, bytes + entry.bytes.count + 64 > min(bytesMax, Batch.bytesMax - 4096) { break }
            bytes += entry.bytes.count + 4
            items.append(image.place(seq) == .held ? .entry(entry.bytes) : .dropped(hash: entry.hash))
            seq += 1
        }
        return items
    }

    // MARK: - Retention

    /// Drops what the rules say is dead; the logs whose low-water mark has moved.
    mutating func retain(at now: UInt64, age: UInt64, _ truth: Truth, isRelay: (TrueLog) -> Bool) -> [LogEpoch: UInt64] {
        var subjects: [RetentionSubject] = []
        for (index, log) in self.logs.enumerated() {
            for (offset, place) in log.places.enumerated() where place == .held {
                if let entry = truth.logs[index].entry(UInt64(offset) + 1) { subjects.append(entry.retentionSubject) }
            }
        }
        let dead = RetentionRules.dead(among: subjects, nowMilliseconds: now, policy: RetentionPolicy(messageMilliseconds: age))
        var isShown = false
        for (id, runs) in dead {
            guard let log = truth.log(id) else { continue }
            for run in runs {
                for seq in run {
                    self.logs[log.index].places[Int(seq) - 1] = .dropped
                    log.entry(seq)?.isDropped = true
                }
            }
            if id.stream == .message { isShown = true }
        }
        var moved: [LogEpoch: UInt64] = [:]
        for index in self.logs.indices where self.lower(index, isRelay(truth.logs[index])) { moved[truth.logs[index].id] = self.logs[index].lowWater }
        if isShown { self.showAgain(truth) }
        // A receipt that points to a message of which nothing is left goes with it, whether or not all receipts before it came here.
        for client in self.receipts.indices where Self.isOver(HLC(rawValue: self.receipts[client]), now, age) { self.receipts[client] = 0 }
        return moved
    }

    private static func isOver(_ hlc: HLC, _ now: UInt64, _ age: UInt64) -> Bool { hlc.milliseconds <= now && now - hlc.milliseconds > age }

    /// Batches of which nothing is left go as a whole, from the start of the log on.
    private mutating func lower(_ index: Int, _ isRelay: Bool) -> Bool {
        let before = self.logs[index].lowWater
        while true {
            let next = self.logs[index].lowWater + 1
            guard next <= self.logs[index].head else { break }
            let last: UInt64
            if let place = self.logs[index].batch(covering: next) {
                last = self.logs[index].signed[place].last
            } else if self.logs[index].place(next) == .gone || !isRelay {
                last = next
            } else {
                break
            }
            var isDead = true
            for seq in next...max(next, last) where self.logs[index].place(seq) == .held { isDead = false }
            guard isDead else { break }
            for seq in next...max(next, last) where seq <= self.logs[index].head { self.logs[index].places[Int(seq) - 1] = .gone }
            self.logs[index].lowWater = min(last, self.logs[index].head)
        }
        return self.logs[index].lowWater != before
    }

    /// What is shown is what the log still holds.
    private mutating func showAgain(_ truth: Truth) {
        self.messages = []
        self.doubles = []
        for (index, log) in self.logs.enumerated() {
            for (offset, place) in log.places.enumerated() where place == .held {
                guard let entry = truth.logs[index].entry(UInt64(offset) + 1), case .message = entry.kind else { continue }
                self.apply(entry, [])
            }
        }
    }
}
