import NIOCore
import Replication
import SkerryModel
import Synchronization

/// Who a simulated box is.
struct SimIdentity {
    let id: BoxID
    let name: String
    let logKey: [UInt8]

    init(_ number: Int) {
        // In no order that has to do with the number.
        var random = SimRandom(seed: UInt64(number) &+ 77)
        var bytes: [UInt8] = []
        bytes.appendBigEndian(random.next())
        bytes.append(UInt8(truncatingIfNeeded: number))
        bytes.append(0xb0)
        guard let id = BoxID(bytes) else { preconditionFailure("a box id has \(BoxID.byteCount) bytes") }
        self.id = id
        self.name = number < 26 ? String(UnicodeScalar(UInt8(65 + number))) : "Z\(number)"
        var key: [UInt8] = []
        for _ in 0..<4 { key.appendBigEndian(random.next()) }
        self.logKey = key
    }
}

/// Simulated boxes on a simulated clock, network and disk (FEDERATION.md §7): the same run for the same seed.
package enum BoxSimulation {
    package static func run(_ options: SimOptions) -> SimResult {
        let world = SimWorld(options)
        defer { world.close() }
        world.populate()
        let faults = SimFaults(world)
        faults.begin()
        world.run(until: world.profile.span)
        if world.failure == nil {
            faults.heal()
            let start = world.now
            world.run(until: start + Self.healingMax + 2 * world.profile.span, checkEvery: 500) { world.isConverged() }
            world.figures.healing = world.now - start
        }
        if world.failure == nil { world.checkEnd() }
        var result = SimResult(
            seed: options.seed, boxes: world.profile.boxes, failure: world.failure, fingerprint: world.fingerprint, figures: world.figures)
        result.trace = world.lastEvents
        return result
    }

    /// Simulated milliseconds in which a world without faults must come together.
    static let healingMax: UInt64 = 90_000

    /// Every seed of `seeds`, on all processors; `each` hears of every result, one at a time, in no particular order.
    package static func runAll(
        _ seeds: Range<UInt64>, options: @escaping @Sendable (UInt64) -> SimOptions = { SimOptions(seed: $0) },
        each: @escaping @Sendable (SimResult) -> Void = { _ in }
    ) async -> [SimResult] {
        let work = SharedWork(seeds)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<max(1, System.coreCount) {
                group.addTask {
                    while let seed = work.take() { work.done(Self.run(options(seed)), each) }
                }
            }
        }
        return work.failures
    }

    /// The run again with its events as text: what is printed of a seed that fails.
    package static func explain(_ options: SimOptions) -> SimResult {
        var options = options
        options.isTraced = true
        return Self.run(options)
    }
}

/// The seeds that are left, and those that failed.
private final class SharedWork: Sendable {
    private let end: UInt64
    private let next: Mutex<UInt64>
    private let failed = Mutex<[SimResult]>([])

    init(_ seeds: Range<UInt64>) {
        self.end = seeds.upperBound
        self.next = Mutex(seeds.lowerBound)
    }

    func take() -> UInt64? {
        self.next.withLock { next in
            guard next < self.end else { return nil }
            defer { next += 1 }
            return next
        }
    }

    func done(_ result: SimResult, _ each: (SimResult) -> Void) {
        self.failed.withLock { failed in
            if result.failure != nil { failed.append(result) }
            each(result)
        }
    }

    var failures: [SimResult] { self.failed.withLock { $0 }.sorted { $0.seed < $1.seed } }
}

extension SimResult {
    /// The failure as it is printed: the seed, what does not hold, and what happened before.
    package var report: String {
        guard let failure = self.failure else { return "seed \(self.seed): passed" }
        var lines = ["seed \(self.seed) (\(self.boxes) boxes): \(failure)"]
        lines += self.trace.map { "    \($0)" }
        return lines.joined(separator: "\n")
    }
}

extension SimWorld {
    func populate() {
        let identities = (0..<self.profile.boxes).map { SimIdentity($0) }
        var members: [BoxID: EngineMember] = [:]
        for identity in identities { members[identity.id] = EngineMember(standing: .active, logKey: identity.logKey) }
        self.founders = members
        for identity in identities {
            let isNew = !self.profile.has(.mixedVersions) || self.random.chance(500)
            _ = self.addBox(identity, DiskImage(members: members, isNewVersion: isNew))
        }
        for box in self.boxes { self.after(self.random.time(0, 500)) { box.start() } }
        for index in 0..<self.profile.clients {
            guard let box = self.random.pick(self.boxes) else { continue }
            let client = SimClient(self, index: index, box: box)
            self.clients.append(client)
            client.wake()
        }
    }

    func addBox(_ identity: SimIdentity, _ disk: DiskImage) -> SimBox {
        let isSet = self.boxes.isEmpty || !self.profile.has(.clock) || self.random.chance(500)
        let clock = SimClock(
            drift: Int64(self.random.between(-200, 200)), wallOffset: isSet ? Int64(self.random.between(-200, 200)) : -Int64(SimWorld.epochMilliseconds),
            isSynced: isSet, bootedAt: 0, bootBase: self.random.time(1_000, 1_000_000))
        let box = SimBox(self, instance: self.boxes.count, id: identity.id, name: identity.name, logKey: identity.logKey, disk: disk, clock: clock)
        for other in self.boxes { self.network.connect(other, box) }
        self.boxes.append(box)
        return box
    }
}
