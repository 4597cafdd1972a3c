package import Replication
package import SkerryModel
package import Store

/// Keeps cursors short on boxes that were restarted a thousand times: of each log the epochs that are over become one hash.
///
/// They are counted in the order in which they began, which is the same on every box, and hashed in no order. An epoch is folded when
/// its end is known to all boxes (`EpochRecord.isFinal`), so that any of them finds the same; on a box that knows no other, when a later
/// epoch follows it. A box that does not find the same hash does not guess.
package enum CursorFolding {
    /// Which epochs a cursor folds that has seen them all.
    package struct Plan: Sendable, Hashable {
        package fileprivate(set) var folds: [SyncCursor.Log: SyncCursor.Fold] = [:]
        /// Places of the epochs that are spelled out.
        fileprivate var spelled: [Int] = []
        fileprivate var folded: Set<Int32> = []

        /// Whether the plan still is the plan when an epoch changes.
        package func survives(_ change: (old: EpochRecord, new: EpochRecord)) -> Bool {
            let (old, new) = change
            return old.head > 0 && old.birth == new.birth && old.isFinal == new.isFinal && (old.head == new.head || !self.folded.contains(new.number))
        }
    }

    /// What of each epoch a cursor has seen.
    package enum Reading: Sendable, Hashable {
        /// By local numbers; and what it has seen that is not here (yet).
        case known(seen: [Int32: UInt64], ahead: [LogEpoch: UInt64])
        /// A fold is of epochs that are not here like that: a box that lags may find them later, else the client must reload.
        case unknown
    }

    private struct Group {
        var log: SyncCursor.Log
        /// Places in the list of epochs, by birth.
        var places: [Int]
        /// So many from the first are folded.
        var folded = 0
    }

    // MARK: - Making

    /// The cursor that has seen every epoch of `epochs` up to its head.
    package static func cursor(of epochs: [EpochRecord]) -> SyncCursor { Self.cursor(of: epochs, Self.plan(epochs)) }

    /// As `cursor(of:)`, with a plan for the same epochs that survived what happened since.
    package static func cursor(of epochs: [EpochRecord], _ plan: Plan) -> SyncCursor {
        var cursor = SyncCursor(folds: plan.folds)
        for place in plan.spelled { cursor.seen[epochs[place].log] = epochs[place].head }
        return cursor
    }

    package static func plan(_ epochs: [EpochRecord]) -> Plan {
        var plan = Plan()
        for group in Self.groups(epochs) {
            let folded = group.places.prefix(group.folded)
            if !folded.isEmpty { plan.folds[group.log] = Self.fold(epochs, folded) }
            plan.folded.formUnion(folded.map { epochs[$0].number })
            plan.spelled += group.places.dropFirst(group.folded)
        }
        return plan
    }

    /// The cursor that has seen of each epoch what `seen` says, and of others what `ahead` says; nil when that cannot be spelled out.
    package static func cursor(of epochs: [EpochRecord], seen: [Int32: UInt64], ahead: [LogEpoch: UInt64] = [:]) -> SyncCursor? {
        var cursor = SyncCursor()
        for group in Self.groups(epochs) {
            let finished = group.places.prefix(group.folded).prefix { seen[epochs[$0].number] == epochs[$0].head && ahead[epochs[$0].log] == nil }
            if !finished.isEmpty { cursor.folds[group.log] = Self.fold(epochs, finished) }
            for place in group.places.dropFirst(finished.count) {
                if let seq = seen[epochs[place].number], seq > 0 { cursor.seen[epochs[place].log] = seq }
            }
        }
        for (log, seq) in ahead { cursor.seen[log] = max(seq, cursor.seen[log] ?? 0) }
        return cursor.seen.count <= SyncCursor.epochsSpelledMax && cursor.folds.count <= SyncCursor.foldsMax ? cursor : nil
    }

    // MARK: - Reading

    package static func read(_ cursor: SyncCursor, _ epochs: [EpochRecord]) -> Reading {
        guard !cursor.isOutdated else { return .unknown }
        var seen: [Int32: UInt64] = [:]
        var found = 0
        for group in Self.groups(epochs) {
            if let fold = cursor.folds[group.log] {
                // Another box may not have met an epoch yet that is not final, and passed over it without knowing.
                let ways = [group.places, group.places.filter { epochs[$0].isFinal }].map { $0.prefix(Int(fold.count)) }
                guard let folded = ways.first(where: { $0.count == Int(fold.count) && Self.fold(epochs, $0) == fold }) else { return .unknown }
                for place in folded { seen[epochs[place].number] = epochs[place].head }
                found += 1
            }
        }
        guard found == cursor.folds.count else { return .unknown }
        var ahead: [LogEpoch: UInt64] = [:]
        var heads: [LogEpoch: EpochRecord] = [:]
        for epoch in epochs where cursor.seen[epoch.log] != nil { heads[epoch.log] = epoch }
        for (log, seq) in cursor.seen {
            if let epoch = heads[log] { seen[epoch.number] = max(seen[epoch.number] ?? 0, min(seq, epoch.head)) }
            if seq > heads[log]?.head ?? 0 { ahead[log] = seq }
        }
        return .known(seen: seen, ahead: ahead)
    }

    // MARK: - Parts

    /// The logs, each with its epochs in the order in which they began and how many of them may be folded. Epochs without an entry are
    /// nowhere: another box need not know them.
    private static func groups(_ epochs: [EpochRecord]) -> [Group] {
        var places: [SyncCursor.Log: [Int]] = [:]
        for (place, epoch) in epochs.enumerated() where epoch.head > 0 { places[SyncCursor.Log(epoch.log), default: []].append(place) }
        let isLone = Set(places.keys.map(\.origin)).count <= 1
        var groups = places.map { log, places in
            var group = Group(log: log, places: places.sorted { epochs[$0].isBefore(epochs[$1]) })
            while group.folded < group.places.count {
                let isOver = isLone && group.folded < group.places.count - 1
                guard epochs[group.places[group.folded]].isFinal || isOver else { break }
                group.folded += 1
            }
            return group
        }
        // A cursor that a box may fail to understand is better than one that is too long to send.
        func spelled() -> Int { groups.reduce(0) { $0 + $1.places.count - $1.folded } }
        if spelled() > SyncCursor.epochsMax {
            for index in groups.indices { groups[index].folded = max(groups[index].folded, groups[index].places.count - 1) }
        }
        if spelled() > SyncCursor.epochsSpelledMax {
            for index in groups.indices { groups[index].folded = groups[index].places.count }
        }
        return groups
    }

    /// The sum of a mixed FNV-1a over origin, stream, epoch and head of each: a check for equality among honest boxes, not a proof.
    private static func fold(_ epochs: [EpochRecord], _ places: ArraySlice<Int>) -> SyncCursor.Fold {
        var sum: UInt64 = 0
        for place in places {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(27)
            epochs[place].log.origin.append(to: &bytes)
            bytes.append(epochs[place].log.stream.rawValue)
            bytes.appendBigEndian(epochs[place].log.epoch)
            bytes.appendBigEndian(epochs[place].head)
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
            hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
            sum &+= hash ^ (hash >> 31)
        }
        return SyncCursor.Fold(count: UInt32(clamping: places.count), hash: sum)
    }
}

extension EpochRecord {
    /// Whether it began before the other, as every box sees it.
    func isBefore(_ other: EpochRecord) -> Bool {
        if self.birth != other.birth { return self.birth < other.birth }
        if self.log.origin != other.log.origin { return self.log.origin < other.log.origin }
        return self.log.epoch < other.log.epoch
    }
}
