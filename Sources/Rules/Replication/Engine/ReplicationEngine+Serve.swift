import SkerryModel

/// What others lack and this box has.
extension ReplicationEngine {
    /// Bytes of the pieces of one answer: what is left of a payload when its own fields are taken off.
    private static let piecesBytesMax = LinkChannel.payloadBytesMax - 1_024

    mutating func receivedRangeRequest(_ request: LinkRequest, _ place: Int) {
        let box = self.peers[place].box
        guard let asked = try? RangeCodec.request(request.body) else { return self.alarm(.malformed(link: box, .request)) }
        switch asked {
        case .epochs(let group, let from):
            self.answer(self.list(group, from: from), request.correlation, place)
        case .entries(let log, let from, let bytesMax):
            let head = self.epoch(log)?.shown ?? 0
            guard from <= head else { return self.answer(.entries(log, head: head, []), request.correlation, place) }
            guard self.peers[place].reads < self.limits.rangeReadsMax, self.peers[place].unacknowledged <= self.limits.windowBytesMax * 2 else {
                self.counters.rangesRefused += 1
                return
            }
            self.peers[place].reads += 1
            let token = self.token()
            self.reads[token] = ReadState(peer: box, correlation: request.correlation, log: log, from: from)
            self.out.append(.readRange(token, log, from: from, bytesMax: max(1, min(bytesMax, self.limits.rangeBytesMax))))
        }
    }

    private func list(_ group: LogGroup, from: UInt64) -> RangeResponse {
        let held = (self.groups[group]?.epochs ?? [:]).filter { $0.key >= from && $0.value.shown > 0 }.sorted { $0.key < $1.key }
        let page = held.prefix(RangeCodec.epochsMax).map { HeldEpoch(epoch: $0.key, head: $0.value.shown, lowWater: min($0.value.lowWater, $0.value.shown)) }
        return .epochs(group, page, hasMore: held.count > page.count)
    }

    private mutating func answer(_ response: RangeResponse, _ correlation: UInt64, _ place: Int) {
        self.counters.rangesServed += 1
        let body = RangeCodec.encode(response, of: self.federation)
        self.send(place, .response, LinkRequest(.range, correlation: correlation, body: body).payload)
    }

    mutating func rangeRead(_ token: UInt64, _ answer: RangeAnswer) {
        guard let read = self.reads.removeValue(forKey: token), let place = self.places[read.peer], self.peers[place].isLinked else { return }
        self.peers[place].reads -= 1
        let head = self.epoch(read.log)?.shown ?? 0
        var pieces: [RangePiece] = []
        switch answer {
        case .absent: break
        case .skipped(let upTo): if upTo >= read.from { pieces = [.skipped(upTo: min(upTo, head))] }
        case .batches(let batches): pieces = self.pieces(batches, of: read, head: head)
        }
        if read.log.origin == self.box {
            for case .batch(let batch) in pieces { self.peers[place].given[read.log] = max(self.peers[place].given[read.log] ?? 0, batch.lastSeq) }
        }
        self.answer(.entries(read.log, head: head, pieces), read.correlation, place)
        self.catchUpEnds(place)
    }

    private func pieces(_ batches: [Batch], of read: ReadState, head: UInt64) -> [RangePiece] {
        var pieces: [RangePiece] = []
        var next = read.from
        var size = 0
        for held in batches where held.log == read.log && held.lastSeq >= next {
            if held.firstSeq > next {
                pieces.append(.skipped(upTo: min(held.firstSeq - 1, head)))
                next = held.firstSeq
            }
            guard held.firstSeq <= head else { break }
            for batch in read.log.origin == self.box ? self.signed(held, from: next, head: head) : [held] {
                size += BatchCodec.size(of: batch) + 8
                guard pieces.count < RangeCodec.piecesMax - 1, size <= Self.piecesBytesMax else { return pieces }
                pieces.append(.batch(batch))
                next = batch.lastSeq + 1
            }
        }
        return pieces
    }

    /// Own entries get their signature when they are served; no further than the engine itself knows them to be on the disk.
    private func signed(_ held: Batch, from: UInt64, head: UInt64) -> [Batch] {
        let first = max(held.firstSeq, from)
        let last = min(held.lastSeq, head)
        guard first <= last else { return [] }
        let items = held.items[Int(first - held.firstSeq)...Int(last - held.firstSeq)]
        let epoch = self.epoch(held.log)
        let isAwaited = epoch.map { $0.awaited > $0.replicated && last + UInt64(Batch.entriesMax) >= $0.head } ?? false
        return BatchCodec.split(held.log, firstSeq: first, Array(items), wantsFlush: isAwaited).map { batch in
            var batch = batch
            batch.signature = self.keys.sign(BatchCodec.signedBytes(batch, of: self.federation))
            return batch
        }
    }
}
