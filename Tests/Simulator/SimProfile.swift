import Replication

/// What a seed draws before anything happens: the size of its world, and which faults it has how often (a "swarm").
struct SimProfile {
    var boxes: Int
    var clients: Int
    /// Milliseconds of living with faults.
    var span: UInt64
    /// Milliseconds between two faults, on average.
    var faultEvery: UInt64
    /// Between two acts of one client, on average.
    var actEvery: UInt64
    /// Each fault that may happen, with its weight.
    var weights: [(FaultKind, Int)]
    var limits = EngineLimits()
    /// Milliseconds a message is under way.
    var delay: ClosedRange<UInt64>
    /// Of a thousand.
    var lossPerMille = 0
    var doublePerMille = 0
    var latePerMille = 0
    var paddingMax: Int
    /// Milliseconds after which messages are dropped; nil: never.
    var retention: UInt64?
    var rowKeys: Int
    /// Of a thousand acts: how many write rows instead of messages.
    var rowsPerMille: Int
    var hasHub: Bool

    init(_ random: inout SimRandom, _ options: SimOptions) {
        let size = random.below(100)
        // Most worlds are small, so that two thousand of them take a minute; the large ones are rare.
        let drawn: Int
        switch size {
        case 0..<34: drawn = 2
        case 34..<78: drawn = 3
        case 78..<92: drawn = 4
        case 92..<97: drawn = 5
        case 97..<99: drawn = random.between(6, 8)
        default: drawn = random.chance(100) ? 32 : random.between(6, 10)
        }
        self.boxes = min(32, max(2, options.boxes ?? drawn))
        let isLarge = self.boxes > 5
        self.clients = isLarge ? 3 : random.between(2, 4)
        self.span = options.span ?? random.time(5_000, isLarge ? 9_000 : 16_000)
        self.faultEvery = random.time(300, 2_500)
        self.actEvery = random.time(300, 1_200) * UInt64(self.clients) / 2
        self.weights = []
        self.delay = [1...5, 1...40, 20...60, 5...400][random.below(4)]
        self.paddingMax = [0, 40, 400, 3_000][random.below(4)]
        self.rowKeys = random.between(1, 6)
        self.rowsPerMille = [0, 200, 500][random.below(3)]
        self.hasHub = false

        for kind in FaultKind.allCases {
            let weight = Self.weight(kind, &random)
            if options.without.contains(kind) { continue }
            if options.faults.contains(kind) { self.weights.append((kind, max(weight, 8))) } else if weight > 0 { self.weights.append((kind, weight)) }
        }
        if self.has(.lossy) {
            self.lossPerMille = random.pick([0, 20, 100, 200]) ?? 0
            self.doublePerMille = random.pick([0, 20, 150]) ?? 0
            self.latePerMille = random.pick([0, 30, 150]) ?? 0
        }
        if self.has(.lossy) || self.has(.hubForgets) { self.hasHub = true }
        if self.has(.retention) { self.retention = random.time(2_000, 12_000) }

        // The same protocol at ten times the pace: simulated seconds cost real time.
        self.limits.digestEvery = random.time(3_000, 8_000)
        self.limits.digestPause = random.time(100, 1_000)
        self.limits.requestTimeout = random.time(1_500, 4_000)
        self.limits.applyWithin = random.time(0, 1_000)
        self.limits.applyWithinWhenWanted = random.time(0, 50)
        if random.chance(300) {
            // An answer takes a quarter of the window, as it does in a box: what finds none is not given, and asked for again after a while.
            self.limits.rangeBytesMax = random.between(300, 3_000)
            self.limits.windowBytesMax = max(4 * self.limits.rangeBytesMax, 4 * self.paddingMax)
        }
        if random.chance(300) {
            self.limits.gapEntriesMax = random.between(1, 8)
            self.limits.gapBytesMax = random.between(1_000, 20_000)
        }
        if random.chance(150) { self.limits.pendingBytesMax = self.limits.rangeBytesMax + random.between(4_000, 60_000) }
        // Copies are counted by those who are linked: in a chain nobody hears of two.
        if self.boxes > 2, random.chance(300), !self.has(.sparse) { self.limits.copiesWanted = 2 }
    }

    func has(_ kind: FaultKind) -> Bool { self.weights.contains { $0.0 == kind } }

    /// How likely a kind is in a world, and how often it then happens.
    private static func weight(_ kind: FaultKind, _ random: inout SimRandom) -> Int {
        let perMille: Int
        switch kind {
        case .linkCut, .crash: perMille = 500
        case .partition, .oneWay, .pause, .diskSlow, .reboot: perMille = 300
        case .diskFull, .restore, .clock: perMille = 250
        case .sparse, .lossy, .hubForgets, .hostile, .mixedVersions, .retention: perMille = 180
        case .wipe, .clone, .removal, .join: perMille = 120
        }
        let isOn = random.chance(perMille)
        let weight = random.between(1, 10)
        return isOn ? weight : 0
    }
}
