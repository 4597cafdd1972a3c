import Replication
import SkerryModel
import TestKit

/// Several engines with stores of their own, joined by links that the test makes and cuts. Messages arrive in order and at once, commits take
/// as long as the test says. Deeper worlds, with faults, are the simulator's.
final class EngineLab {
    struct Node {
        var engine: ReplicationEngine
        var entries: [LogPosition: [UInt8]] = [:]
        var heads: [LogEpoch: UInt64] = [:]
        var batches: [LogEpoch: [Batch]] = [:]
        var inbox: [(LinkMessage, from: BoxID)] = []
        var commits: [(due: UInt64, token: UInt64, [IncomingBatch])] = []
        var effects: [EngineEffect] = []
        var sentBytes = 0
        /// Entries that the store was given twice.
        var repeats = 0
        /// What waits for a commit, at most.
        var pendingMost = 0
    }

    var nodes: [BoxID: Node] = [:]
    var links: Set<[BoxID]> = []
    var now: UInt64 = 1_000
    let commitMilliseconds: UInt64

    init(_ count: UInt8, commitMilliseconds: UInt64 = 0, limits: EngineLimits = EngineLimits(), mutations: EngineMutations = []) {
        self.commitMilliseconds = commitMilliseconds
        let boxes = (1...count).map { Sample.box($0) }
        let members = Dictionary(uniqueKeysWithValues: boxes.map { ($0, EngineMember(standing: .active, logKey: CheapKeys.logKey($0))) })
        for box in boxes {
            let random = RigRandom()
            let engine = ReplicationEngine(
                box: box, federation: EngineRig.federation, keys: CheapKeys.keys(box),
                stored: EngineStored(startCounter: 1, startNonce: UInt64(box.bytes[9]) * 100), limits: limits, mutations: mutations,
                random: { random.next() })
            self.nodes[box] = Node(engine: engine)
            self.step(box, .members(members))
        }
    }

    private var instant: EngineInstant {
        EngineInstant(monotonic: self.now, physical: EngineRig.epochMilliseconds + self.now, isSynced: true)
    }

    func step(_ box: BoxID, _ event: EngineEvent) {
        guard let effects = self.nodes[box]?.engine.step(event, now: self.instant) else { return }
        self.nodes[box]?.effects += effects.filter { if case .send = $0 { false } else { true } }
        for effect in effects { self.perform(effect, box) }
    }

    private func perform(_ effect: EngineEffect, _ box: BoxID) {
        switch effect {
        case .send(let peer, let channel, let payload):
            guard self.links.contains([box, peer]) else { return }
            self.nodes[box]?.sentBytes += payload.count
            let message = LinkMessage(origin: box, channel: channel, addressee: channel.isAddressed ? peer : nil, payload: payload)
            self.nodes[peer]?.inbox.append((message, from: box))
        case .apply(let token, let batches, _):
            self.nodes[box]?.commits.append((due: self.now + self.commitMilliseconds, token: token, batches))
            let waiting = self.nodes[box]?.commits.flatMap(\.2).reduce(0) { $0 + BatchCodec.size(of: $1.batch) } ?? 0
            let most = self.nodes[box]?.pendingMost ?? 0
            self.nodes[box]?.pendingMost = max(most, waiting)
        case .readRange(let token, let log, let from, let bytesMax): self.step(box, .rangeRead(token, self.read(box, log, from, bytesMax)))
        default: break
        }
    }

    private func read(_ box: BoxID, _ log: LogEpoch, _ from: UInt64, _ bytesMax: Int) -> RangeAnswer {
        guard let node = self.nodes[box], let head = node.heads[log], from <= head else { return .absent }
        if log.origin == box {
            var items: [BatchItem] = []
            var size = 0
            var seq = from
            while seq <= head, size < bytesMax, let entry = node.entries[LogPosition(log: log, seq: seq)] {
                items.append(.entry(entry))
                size += entry.count
                seq += 1
            }
            return .batches([Batch(log: log, firstSeq: from, items: items)])
        }
        var found: [Batch] = []
        var size = 0
        for batch in node.batches[log] ?? [] where batch.lastSeq >= from && size < bytesMax {
            found.append(batch)
            size += BatchCodec.size(of: batch)
        }
        return found.isEmpty ? .absent : .batches(found)
    }

    private func commit(_ box: BoxID, _ batches: [IncomingBatch]) -> [LogEpoch: UInt64]? {
        guard var node = self.nodes[box] else { return nil }
        var heads: [LogEpoch: UInt64] = [:]
        for incoming in batches {
            let log = incoming.batch.log
            let head = node.heads[log] ?? 0
            guard head >= incoming.knownUpTo else { return nil }
            var seq = incoming.batch.firstSeq
            for item in incoming.batch.items {
                defer { seq += 1 }
                guard seq > incoming.knownUpTo, case .entry(let entry) = item else { continue }
                if node.entries.updateValue(entry, forKey: LogPosition(log: log, seq: seq)) != nil { node.repeats += 1 }
            }
            if !incoming.batch.items.isEmpty { node.batches[log, default: []].append(incoming.batch) }
            node.heads[log] = max(head, incoming.batch.lastSeq, incoming.skippedUpTo ?? 0)
            heads[log] = node.heads[log]
        }
        self.nodes[box] = node
        return heads
    }

    // MARK: What a test does

    func link(_ one: UInt8, _ other: UInt8) {
        let boxes = [Sample.box(one), Sample.box(other)]
        self.links.insert(boxes)
        self.links.insert(boxes.reversed())
        self.step(boxes[0], .linkUp(boxes[1]))
        self.step(boxes[1], .linkUp(boxes[0]))
        self.settle()
    }

    func cut(_ one: UInt8, _ other: UInt8) {
        let boxes = [Sample.box(one), Sample.box(other)]
        self.links.remove(boxes)
        self.links.remove(boxes.reversed())
        self.step(boxes[0], .linkDown(boxes[1]))
        self.step(boxes[1], .linkDown(boxes[0]))
    }

    /// One way only, and nobody is told.
    func block(_ from: UInt8, _ to: UInt8) { self.links.remove([Sample.box(from), Sample.box(to)]) }

    func append(_ number: UInt8, _ count: UInt64, stream: Stream = .message, size: Int = 40) {
        let box = Sample.box(number)
        let log = Sample.log(stream, epoch: UInt64(number) * 10, box: box)
        let first = (self.nodes[box]?.heads[log] ?? 0) + 1
        let entries = (first..<(first + count)).map { EngineRig.entry($0, size: size) }
        for (index, entry) in entries.enumerated() { self.nodes[box]?.entries[LogPosition(log: log, seq: first + UInt64(index))] = entry }
        self.nodes[box]?.heads[log] = first + count - 1
        self.step(box, .appended(CommittedRun(log: log, firstSeq: first, entries: entries)))
    }

    /// Delivers everything that is on its way, and commits what is due, until nothing is left to do at this moment.
    func settle() {
        var isBusy = true
        while isBusy {
            isBusy = false
            for box in self.nodes.keys.sorted() {
                while let message = self.nodes[box]?.inbox.first {
                    self.nodes[box]?.inbox.removeFirst()
                    isBusy = true
                    self.step(box, .received(message.0, from: message.from))
                    self.step(message.from, .acknowledged(box, bytes: message.0.payload.count))
                }
                while let commit = self.nodes[box]?.commits.first, commit.due <= self.now {
                    self.nodes[box]?.commits.removeFirst()
                    isBusy = true
                    if let heads = self.commit(box, commit.2) {
                        self.step(box, .applied(commit.token, heads: heads))
                    } else {
                        self.step(box, .applyFailed(commit.token))
                    }
                }
            }
        }
    }

    /// Time passes, a step at a time.
    func run(_ milliseconds: UInt64, step: UInt64 = 100) {
        let end = self.now + milliseconds
        while self.now < end {
            self.now = min(end, self.now + step)
            for box in self.nodes.keys.sorted() { self.step(box, .tick) }
            self.settle()
        }
    }

    func heads(_ number: UInt8) -> [LogEpoch: UInt64] { self.nodes[Sample.box(number)]?.engine.heads ?? [:] }
    func entries(_ number: UInt8) -> [LogPosition: [UInt8]] { self.nodes[Sample.box(number)]?.entries ?? [:] }
    var repeats: Int { self.nodes.values.reduce(0) { $0 + $1.repeats } }
}
