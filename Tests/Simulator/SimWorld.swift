import Replication
import SkerryModel

/// Everything of one run: its time, its boxes, its network, its clients, and what is true about them. One thread, no clock, no disk.
final class SimWorld {
    let options: SimOptions
    var profile: SimProfile
    /// For what happens; the boxes' own numbers come from forks.
    var random: SimRandom
    private(set) var now: UInt64 = 0
    private var queue = EventQueue()
    var truth = Truth()
    var boxes: [SimBox] = []
    var clients: [SimClient] = []
    lazy var network = SimNetwork(self)
    var figures = SimFigures()
    private(set) var failure: String?
    private var trace: [String] = []
    private(set) var fingerprint: UInt64 = 0x5eed
    /// Faults happen; afterwards everything must come together.
    var isLiving = true
    /// The number that makes each entry's bytes its own.
    var entryCount: UInt64 = 0
    var messageCount = 0
    /// Boxes that were taken off the member list, how far they count, and since when.
    var removed: [BoxID: [LogEpoch: UInt64]] = [:]
    /// Instances that will not be seen again: what only they hold is lost.
    var dead: UInt64 = 0
    let federation: FederationID
    /// The members at the start, whom every box knows.
    var founders: [BoxID: EngineMember] = [:]
    /// Things happened after which a box may rightly find itself rolled back or doubled.
    var hadRestore = false
    var hadClone = false
    /// The latest time for which retention has run anywhere.
    var retainedAt: UInt64 = 0

    /// Milliseconds since 1970 at the start of the run.
    static let epochMilliseconds: UInt64 = 1_790_000_000_000

    init(_ options: SimOptions) {
        self.options = options
        self.random = SimRandom(seed: options.seed)
        // The first numbers of neighbouring seeds are not to be alike.
        _ = self.random.next()
        self.profile = SimProfile(&self.random, options)
        self.federation = Self.federationID()
    }

    private static func federationID() -> FederationID {
        guard let id = FederationID([UInt8](repeating: 0xfe, count: FederationID.byteCount)) else {
            preconditionFailure("a federation id has \(FederationID.byteCount) bytes")
        }
        return id
    }

    var trueMilliseconds: UInt64 { Self.epochMilliseconds + self.now }

    // MARK: - Time

    func after(_ delay: UInt64, _ action: @escaping () -> Void) { self.queue.plan(self.now + delay, action) }

    /// Runs until `end`, until `isDone` says so at one of the `every` milliseconds, or until something is wrong.
    func run(until end: UInt64, checkEvery every: UInt64 = .max, isDone: () -> Bool = { false }) {
        var check = every == .max ? UInt64.max : self.now + every
        while self.failure == nil, let next = self.queue.next, next <= end {
            if next >= check {
                if isDone() { return }
                check = next + every
            }
            guard let (time, action) = self.queue.pop() else { break }
            self.now = time
            self.figures.events += 1
            action()
        }
        if self.failure == nil { self.now = max(self.now, end) }
    }

    func close() { self.queue.removeAll() }

    // MARK: - Record

    /// Notes an event: always for the fingerprint, as text only when traced.
    func note(_ code: UInt64, _ text: @autoclosure () -> String) {
        self.fingerprint = (self.fingerprint ^ code ^ (self.now << 20)) &* 0x9e37_79b9_7f4a_7c15
        self.fingerprint ^= self.fingerprint >> 31
        guard self.options.isTraced else { return }
        if self.trace.count >= self.options.traceMax * 2 { self.trace.removeFirst(self.options.traceMax) }
        self.trace.append("\(Self.seconds(self.now)) \(text())")
    }

    static func seconds(_ milliseconds: UInt64) -> String {
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }

    var lastEvents: [String] { Array(self.trace.suffix(self.options.traceMax)) }

    /// The run is over: a property does not hold.
    func fail(_ property: String, _ text: @autoclosure () -> String) {
        guard self.failure == nil else { return }
        self.failure = "\(property): \(text()), at \(Self.seconds(self.now)) s"
        self.note(0xfa11, self.failure ?? "")
    }

    // MARK: - Boxes

    /// Those that are to hold the same in the end.
    var members: [SimBox] { self.boxes.filter { !$0.isGone && !$0.isRemoved } }

    func box(named id: BoxID) -> [SimBox] { self.boxes.filter { $0.id == id } }

    func boxText(_ id: BoxID) -> String { self.boxes.first { $0.id == id }?.name ?? id.description }
}
