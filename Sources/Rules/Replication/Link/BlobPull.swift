package import SkerryModel

/// Bounds of fetching blobs.
package struct BlobLimits: Sendable, Hashable {
    /// Of one blob; a larger one is not fetched.
    package var bytesMax = 256 << 20
    /// Without a piece for so long, another holder is asked.
    package var stallMilliseconds: UInt64 = 10_000
    /// Without any holder for so long, the fetch is given up. What there is stays for the next one.
    package var lonelyMilliseconds: UInt64 = 15_000
    /// Times that a holder may stall, and that content may be wrong, before the fetch is given up.
    package var stallsMax = 5
    package var wrongMax = 4
    /// Blobs fetched at a time, and those that wait for it: beyond, reading is refused as busy.
    package var fetchesMax = 4
    package var fetchesWaitingMax = 64
    /// Readers that wait for one blob.
    package var readersMax = 256
    /// Pieces being read for other boxes, of one and of all: beyond, a request is not answered.
    package var servedPerBoxMax = 16
    package var servedMax = 64
    /// So long a box that gave wrong content is not asked for anything.
    package var distrustMilliseconds: UInt64 = 600_000

    package init() {}
}

/// Fetching one blob from whichever boxes have it: a value that is told what happens and says what to do.
///
/// Pieces come in order from one holder at a time, up to four on their way, and go to the disk one after the other. A holder that goes away or falls
/// silent is replaced, and the next one goes on where the disk has got to, over a restart too. What has come is believed only when its hash is right;
/// otherwise it is thrown away. A box that gave all of it is then not believed any more; if several did, the next try is with one alone, so that it is
/// known who is wrong.
package struct BlobPull: Sendable {
    package enum Event: Sendable, Hashable {
        /// A box that was asked has it, so long, or has it not (nil).
        case answered(BoxID, byteCount: Int?)
        case piece(BoxID, offset: UInt64, [UInt8])
        /// It said it has it, and has it not.
        case absent(BoxID)
        case linkUp(BoxID)
        case linkDown(BoxID)
        /// The piece given last is on the disk.
        case written
        case writeFailed(SkerryError)
        case verified(Bool)
        case tick
    }

    package enum Effect: Sendable, Hashable {
        case ask(BoxID)
        case want(BoxID, offset: UInt64, pieces: UInt64)
        /// One at a time; answered by `written` or `writeFailed`.
        case write([UInt8], offset: Int, total: Int)
        /// Compare all there is with the hash; answered by `verified`. Bad content is thrown away by whoever does it.
        case verify
        /// What is on the disk is of no use.
        case discard
        /// It gave content that is not what was asked for.
        case distrust(BoxID)
        case done
        case failed(SkerryError)
    }

    private let limits: BlobLimits
    private var asked: Set<BoxID> = []
    private var holders: [BoxID: Int] = [:]
    /// In the order in which they answered.
    private var order: [BoxID] = []
    private var bad: Set<BoxID> = []
    private var stalls: [BoxID: Int] = [:]
    private var active: BoxID?
    private var total: Int?
    /// Who gave what is on the disk; nil among them: nobody knows, it is of an earlier run.
    private var givers: Set<BoxID?> = []
    private var wrong = 0
    private var isTooLarge = false
    /// The content was wrong and several had given of it: only one holder from now on.
    private var isAlone = false

    /// What the disk has, what has come, and up to where pieces were asked for.
    private var written: Int
    private var received: Int
    private var wanted: Int
    private var pieces: [[UInt8]] = []
    private var isWriting = false
    private var isVerifying = false
    private var isOver = false
    private var moved: UInt64 = 0
    private var lonelySince: UInt64?

    /// - Parameter partial: bytes of it that an earlier run left on the disk.
    package init(partial: Int, limits: BlobLimits) {
        self.limits = limits
        (self.written, self.received, self.wanted) = (partial, partial, partial)
        if partial > 0 { self.givers = [nil] }
    }

    /// Asks the boxes that can be reached.
    package mutating func start(_ boxes: [BoxID], now: UInt64) -> [Effect] {
        self.moved = now
        self.lonelySince = now
        var effects: [Effect] = []
        for box in boxes { self.ask(box, &effects) }
        if self.asked.isEmpty { self.fail(&effects) }
        return effects
    }

    package mutating func handle(_ event: Event, now: UInt64) -> [Effect] {
        if self.isOver { return [] }
        var effects: [Effect] = []
        switch event {
        case .answered(let box, let byteCount): self.answered(box, byteCount, now, &effects)
        case .piece(let box, let offset, let bytes): self.came(box, offset, bytes, now, &effects)
        case .absent(let box):
            self.forget(box)
            self.goOn(now, &effects)
        case .linkUp(let box): self.ask(box, &effects)
        case .linkDown(let box):
            self.asked.remove(box)
            self.forget(box)
            self.goOn(now, &effects)
        case .written:
            self.isWriting = false
            if !self.pieces.isEmpty { self.written += self.pieces.removeFirst().count }
            self.write(&effects)
            self.goOn(now, &effects)
        case .writeFailed(let error):
            self.isOver = true
            effects += [.discard, .failed(error)]
        case .verified(let isRight): self.verified(isRight, now, &effects)
        case .tick: self.tick(now, &effects)
        }
        return effects
    }

    // MARK: - Holders

    private mutating func ask(_ box: BoxID, _ effects: inout [Effect]) {
        guard !self.bad.contains(box), self.asked.insert(box).inserted else { return }
        effects.append(.ask(box))
    }

    private mutating func answered(_ box: BoxID, _ byteCount: Int?, _ now: UInt64, _ effects: inout [Effect]) {
        guard self.asked.remove(box) != nil, !self.bad.contains(box) else { return }
        if let byteCount, byteCount > 0, byteCount <= self.limits.bytesMax {
            if self.holders.updateValue(byteCount, forKey: box) == nil { self.order.append(box) }
        } else if let byteCount, byteCount > 0 {
            self.isTooLarge = true
        }
        self.goOn(now, &effects)
    }

    private mutating func forget(_ box: BoxID) {
        self.holders[box] = nil
        self.order.removeAll { $0 == box }
        if self.active == box { self.active = nil }
    }

    private mutating func distrust(_ box: BoxID, _ effects: inout [Effect]) {
        self.forget(box)
        self.bad.insert(box)
        effects.append(.distrust(box))
    }

    /// Chooses a holder when there is none, and asks it for more when there is room.
    private mutating func goOn(_ now: UInt64, _ effects: inout [Effect]) {
        if self.isOver || self.isVerifying { return }
        if let total = self.total, self.written == total { return self.verify(&effects) }
        // What has come waits for the disk, whoever sent it.
        if let total = self.total, self.received == total { return }
        if self.active == nil {
            // What was on its way from another will not come.
            self.wanted = self.received
            guard let box = self.order.min(by: { (self.stalls[$0] ?? 0) < (self.stalls[$1] ?? 0) }), let byteCount = self.holders[box] else {
                return self.isLonely(now, &effects)
            }
            // One of two lengths is wrong and with it perhaps all there is; or it must be known who gave what.
            let isOtherLength = (self.total.map { $0 != byteCount } ?? false) || self.received > byteCount
            if isOtherLength || (self.isAlone && !self.givers.isSubset(of: [box])) {
                if self.isWriting { return }
                self.startOver(&effects)
            }
            self.active = box
            self.total = byteCount
            self.moved = now
            // Left complete by an earlier run.
            if self.written == byteCount { return self.verify(&effects) }
        }
        guard let box = self.active, let total = self.total else { return }
        self.lonelySince = nil
        let ahead = (self.wanted - self.written + BlobMessage.pieceBytes - 1) / BlobMessage.pieceBytes
        let left = (total - self.wanted + BlobMessage.pieceBytes - 1) / BlobMessage.pieceBytes
        let count = min(BlobMessage.window - ahead, left)
        guard count > 0 else { return }
        effects.append(.want(box, offset: UInt64(self.wanted), pieces: UInt64(count)))
        self.wanted = min(total, self.wanted + count * BlobMessage.pieceBytes)
    }

    private mutating func startOver(_ effects: inout [Effect]) {
        if self.received > 0 { effects.append(.discard) }
        (self.written, self.received, self.wanted, self.pieces) = (0, 0, 0, [])
        (self.givers, self.total) = ([], nil)
    }

    /// Nobody has it now. At once the end when all have said so; links that are down may come up.
    private mutating func isLonely(_ now: UInt64, _ effects: inout [Effect]) {
        if !self.asked.isEmpty { return }
        let since = self.lonelySince ?? now
        self.lonelySince = since
        let wasHeld = self.received > 0 || !self.stalls.isEmpty
        if !wasHeld || now >= since + self.limits.lonelyMilliseconds { self.fail(&effects) }
    }

    private mutating func fail(_ effects: inout [Effect]) {
        self.isOver = true
        let error: SkerryError
        if self.isTooLarge {
            error = SkerryError(.tooLarge, "The file is larger than the \(self.limits.bytesMax >> 20) MiB that one box fetches from another.")
        } else if !self.bad.isEmpty && self.holders.isEmpty {
            error = SkerryError(.unavailable, "The boxes that say they have this file gave something else. Look at their disks.")
        } else if self.received > 0 || !self.holders.isEmpty || !self.stalls.isEmpty {
            error = SkerryError(.unavailable, "The box that has this file cannot be reached at present; try again later.", retryAfterSeconds: 30)
        } else {
            error = SkerryError(.notFound, "No box that can be reached has this file.")
        }
        effects.append(.failed(error))
    }

    // MARK: - Pieces

    private mutating func came(_ box: BoxID, _ offset: UInt64, _ bytes: [UInt8], _ now: UInt64, _ effects: inout [Effect]) {
        guard box == self.active, let total = self.total else { return }
        // One that came before, or one that was asked for after a piece that was lost: only the next one counts.
        guard offset == UInt64(self.received), self.received < self.wanted else { return }
        guard bytes.count == min(BlobMessage.pieceBytes, total - self.received) else {
            self.distrust(box, &effects)
            return self.goOn(now, &effects)
        }
        self.received += bytes.count
        self.givers.insert(box)
        self.moved = now
        self.stalls[box] = nil
        self.pieces.append(bytes)
        self.write(&effects)
    }

    private mutating func write(_ effects: inout [Effect]) {
        guard !self.isWriting, let bytes = self.pieces.first, let total = self.total else { return }
        self.isWriting = true
        effects.append(.write(bytes, offset: self.written, total: total))
    }

    private mutating func verify(_ effects: inout [Effect]) {
        self.isVerifying = true
        effects.append(.verify)
    }

    private mutating func verified(_ isRight: Bool, _ now: UInt64, _ effects: inout [Effect]) {
        guard self.isVerifying else { return }
        self.isVerifying = false
        if isRight {
            self.isOver = true
            effects.append(.done)
            return
        }
        self.wrong += 1
        let givers = self.givers
        // Thrown away by whoever found out.
        (self.written, self.received, self.wanted, self.pieces) = (0, 0, 0, [])
        (self.givers, self.total, self.active) = ([], nil, nil)
        if givers.count == 1, case .some(.some(let box)) = givers.first { self.distrust(box, &effects) } else { self.isAlone = true }
        guard self.wrong < self.limits.wrongMax else { return self.fail(&effects) }
        self.goOn(now, &effects)
    }

    private mutating func tick(_ now: UInt64, _ effects: inout [Effect]) {
        guard let box = self.active else { return self.goOn(now, &effects) }
        guard !self.isWriting, self.pieces.isEmpty, !self.isVerifying, now >= self.moved + self.limits.stallMilliseconds else { return }
        self.moved = now
        self.stalls[box, default: 0] += 1
        self.active = nil
        if (self.stalls[box] ?? 0) >= self.limits.stallsMax { self.forget(box) }
        self.goOn(now, &effects)
    }
}
