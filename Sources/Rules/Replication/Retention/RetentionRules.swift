package import SkerryModel

/// How long entries are kept (FEDERATION.md §2.6). The same policy on all boxes drops the same entries, since only stamps count.
package struct RetentionPolicy: Sendable, Hashable {
    /// Age at which a message, and what was done to it, goes; nil: never.
    package var messageMilliseconds: UInt64?
    /// Age at which a row that says that something is gone goes itself. A box that was away longer could bring the thing back.
    package var tombstoneMilliseconds: UInt64

    package init(messageMilliseconds: UInt64? = nil, tombstoneMilliseconds: UInt64 = 120 * 24 * 60 * 60 * 1000) {
        self.messageMilliseconds = messageMilliseconds
        self.tombstoneMilliseconds = tombstoneMilliseconds
    }
}

/// What retention needs to know of one entry.
package struct RetentionSubject: Sendable, Hashable {
    package var position: LogPosition
    package var hlc: HLC
    /// Its age counts from here: its own stamp, or that of what it points to where that is later. A clock that is ahead stamps messages later
    /// than what is said about them.
    package var agesFrom: HLC
    /// Entries with equal keys replace each other: the greatest order stays. Nil: nothing replaces it.
    package var key: RetentionKey?
    /// It says that something is gone.
    package var isTombstone: Bool

    package init(position: LogPosition, hlc: HLC, pointsTo: HLC? = nil, key: RetentionKey?, isTombstone: Bool) {
        self.agesFrom = max(hlc, pointsTo ?? hlc)
        self.position = position
        self.hlc = hlc
        self.key = key
        self.isTombstone = isTombstone
    }

    package init(_ entry: Entry, at position: LogPosition) {
        self.init(
            position: position, hlc: entry.hlc, pointsTo: Self.pointsTo(entry.body), key: RetentionKey(of: entry.body, in: position.log),
            isTombstone: RetentionRules.isTombstone(entry.body))
    }

    /// What a receipt says has been read.
    private static func pointsTo(_ body: EntryBody) -> HLC? {
        guard case .receipt(_, _, let received, let read) = body else { return nil }
        return [received, read].compactMap { $0?.hlc }.max()
    }

    package var order: Order { Order(hlc: self.hlc, position: self.position) }
}

/// What entries must share so that one of them replaces the others.
package struct RetentionKey: Sendable, Hashable {
    private var kind: UInt8
    private var bytes: [UInt8]

    /// Nil: entries like this do not replace each other.
    ///
    /// A receipt says how far somebody has read as far as its origin knew, and the greatest of all counts, not the last: so a receipt replaces
    /// those of the same epoch only. Between two epochs their origin may have been restored, and have known less in the later one.
    package init?(of body: EntryBody, in log: LogEpoch) {
        guard let key = EntryCodec.compactionKey(of: body) else { return nil }
        switch body {
        case .user: self.kind = 1
        case .device: self.kind = 2
        case .invite: self.kind = 3
        case .conversation: self.kind = 4
        case .membership: self.kind = 5
        case .block: self.kind = 6
        case .accessRule: self.kind = 7
        case .member: self.kind = 8
        case .retained: self.kind = 9
        case .receipt: self.kind = 20
        case .message, .edit, .recall, .reaction, .unknown: return nil
        }
        self.bytes = key
        guard case .receipt = body else { return }
        log.origin.append(to: &self.bytes)
        self.bytes.appendBigEndian(log.epoch)
    }
}

/// Which entries are dead: what they say has no effect any more on any box, so that neither holders nor newcomers need them.
package enum RetentionRules {
    package enum Fate: String, Sendable, Hashable, CaseIterable {
        case kept
        /// Another entry with the same key has the greater order.
        case superseded
        /// Older than the policy keeps its like.
        case expired
    }

    /// `winner`: the greatest order known of entries with the same key, itself included.
    package static func fate(of subject: RetentionSubject, winner: Order?, nowMilliseconds: UInt64, policy: RetentionPolicy) -> Fate {
        if subject.key != nil, let winner, winner > subject.order { return .superseded }
        let since = subject.agesFrom.milliseconds
        if let age = Self.age(of: subject, policy), since <= nowMilliseconds, nowMilliseconds - since > age {
            return .expired
        }
        return .kept
    }

    /// Age at which the entry goes; nil: it stays.
    private static func age(of subject: RetentionSubject, _ policy: RetentionPolicy) -> UInt64? {
        switch subject.position.log.stream {
        case .message: policy.messageMilliseconds
        case .control: subject.isTombstone ? policy.tombstoneMilliseconds : nil
        }
    }

    /// The dead among `subjects`, as runs of sequences in rising order; what replaces them is looked for among `subjects` and in `winners`.
    package static func dead(
        among subjects: some Sequence<RetentionSubject>, winners: [RetentionKey: Order] = [:], nowMilliseconds: UInt64, policy: RetentionPolicy
    ) -> [LogEpoch: [ClosedRange<UInt64>]] {
        var greatest = winners
        for subject in subjects {
            guard let key = subject.key else { continue }
            if let known = greatest[key], known >= subject.order { continue }
            greatest[key] = subject.order
        }
        var dead: [LogEpoch: [UInt64]] = [:]
        for subject in subjects {
            let winner = subject.key.flatMap { greatest[$0] }
            guard Self.fate(of: subject, winner: winner, nowMilliseconds: nowMilliseconds, policy: policy) != .kept else { continue }
            dead[subject.position.log, default: []].append(subject.position.seq)
        }
        return dead.mapValues { Self.runs(of: $0.sorted()) }
    }

    private static func runs(of sequences: [UInt64]) -> [ClosedRange<UInt64>] {
        var runs: [ClosedRange<UInt64>] = []
        for seq in sequences {
            if let last = runs.last, seq <= last.upperBound &+ 1 {
                runs[runs.count - 1] = last.lowerBound...max(last.upperBound, seq)
            } else {
                runs.append(seq...seq)
            }
        }
        return runs
    }

    /// Whether the entry says that something is gone, so that it may go itself after a while. A removed member is no such thing: that is for
    /// ever.
    package static func isTombstone(_ body: EntryBody) -> Bool {
        switch body {
        case .device(let device): device.isRevoked
        case .invite(let invite): invite.isRevoked
        case .membership(let membership): membership.state == .left || membership.state == .kicked
        case .block(_, _, let isOn): !isOn
        case .accessRule(let rule): rule.isRemoved
        case .retained(let retained): retained.body.isEmpty
        case .user, .conversation, .member, .message, .edit, .recall, .reaction, .receipt, .unknown: false
        }
    }
}
