import SkerryModel

/// Boxes that said on this network that they want to join a federation, for a while after each said so last.
struct NearbyBoxes {
    struct Sighting: Sendable, Hashable {
        var box: BoxID
        var name: String
        var words: String
        var address: String
    }

    struct Nearby: Sendable, Hashable {
        var box: BoxID
        var name: String
        var words: String
        var address: String
        var sinceMonotonic: UInt64
        var heardMonotonic: UInt64
    }

    /// Boxes that are remembered; a further one is not.
    static let boxesMax = 32
    static let ignoredMax = 64
    static let milliseconds: UInt64 = 95_000

    private var boxes: [BoxID: Nearby] = [:]
    private var ignored: [BoxID] = []

    mutating func note(_ sighting: Sighting, now: UInt64) {
        guard !self.ignored.contains(sighting.box) else { return }
        self.boxes = self.boxes.filter { $0.value.heardMonotonic &+ Self.milliseconds > now }
        let since = self.boxes[sighting.box]?.sinceMonotonic
        guard since != nil || self.boxes.count < Self.boxesMax else { return }
        self.boxes[sighting.box] = Nearby(
            box: sighting.box, name: sighting.name, words: sighting.words, address: sighting.address, sinceMonotonic: since ?? now, heardMonotonic: now)
    }

    func list(now: UInt64) -> [Nearby] {
        self.boxes.values.filter { $0.heardMonotonic &+ Self.milliseconds > now }.sorted { ($0.sinceMonotonic, $0.box) < ($1.sinceMonotonic, $1.box) }
    }

    /// Shows it no more, until the next start. False: it was not there.
    mutating func ignore(_ box: BoxID, now: UInt64) -> Bool {
        guard self.boxes.removeValue(forKey: box) != nil else { return false }
        if self.ignored.count >= Self.ignoredMax { self.ignored.removeFirst() }
        self.ignored.append(box)
        return true
    }
}
