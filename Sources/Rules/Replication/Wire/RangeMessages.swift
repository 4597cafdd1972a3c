package import SkerryModel

/// What a box asks a holder for (FEDERATION.md §2.5.4): a stretch of one epoch, or the list of all epochs of one log.
package enum RangeRequest: Sendable, Hashable {
    case entries(LogEpoch, from: UInt64, bytesMax: Int)
    /// In rising order, from this epoch on.
    case epochs(LogGroup, from: UInt64)
}

/// A piece of a range answer, in the order of the sequences.
package enum RangePiece: Sendable, Hashable {
    case batch(Batch)
    /// Everything up to here is gone: compacted or expired.
    case skipped(upTo: UInt64)
}

package enum RangeResponse: Sendable, Hashable {
    /// `head`: how far the holder has the epoch. No pieces: it has nothing from there on.
    case entries(LogEpoch, head: UInt64, [RangePiece])
    /// `hasMore`: ask again from the epoch after the last.
    case epochs(LogGroup, [HeldEpoch], hasMore: Bool)
}

/// Bodies of requests and answers of the kind `range`.
///
/// Request: `1:stream 2:origin 3:epoch(fix64) 4:from 5:bytesMax 6:list`. Answer: `1:stream 2:origin 3:epoch(fix64) 4:head 5:batch… 6:skipped…
/// 7:list 8:held epoch… 9:more`; batches (5) and what was skipped (6) stand in the order of the sequences.
package enum RangeCodec {
    /// Pieces of one answer; more are refused.
    package static let piecesMax = 512
    /// Epochs of one page of the list.
    package static let epochsMax = 2_048

    package static func encode(_ request: RangeRequest) -> [UInt8] {
        var writer = FieldWriter(reserving: 48)
        switch request {
        case .entries(let log, let from, let bytesMax):
            Self.writeLog(LogGroup(log), log.epoch, to: &writer)
            writer.varint(4, from)
            writer.varint(5, UInt64(clamping: bytesMax))
        case .epochs(let group, let from):
            Self.writeLog(group, from, to: &writer)
            writer.flag(6, true)
        }
        return writer.bytes
    }

    package static func request(_ bytes: [UInt8]) throws(EntryDecodeError) -> RangeRequest {
        let fields = try FieldMap(bytes[...])
        let group = try Self.group(fields.number(1), fields.slice(2))
        let epoch = try fields.required(3)
        if fields.flag(6) { return .epochs(group, from: epoch) }
        let from = try fields.required(4)
        guard from >= 1, from <= BatchCodec.sequenceMax else { throw EntryDecodeError(.badField, at: 4) }
        return .entries(
            LogEpoch(origin: group.origin, stream: group.stream, epoch: epoch), from: from, bytesMax: Int(clamping: try fields.required(5)))
    }

    package static func encode(_ response: RangeResponse, of federation: FederationID) -> [UInt8] {
        switch response {
        case .entries(let log, let head, let pieces):
            var writer = FieldWriter(reserving: 64 + Self.size(of: pieces))
            Self.writeLog(LogGroup(log), log.epoch, to: &writer)
            writer.varint(4, head)
            for piece in pieces {
                switch piece {
                case .batch(let batch): writer.bytes(5, BatchCodec.encode(batch, of: federation))
                case .skipped(let upTo): writer.varint(6, upTo)
                }
            }
            return writer.bytes
        case .epochs(let group, let held, let hasMore):
            var writer = FieldWriter(reserving: 64 + held.count * 20)
            Self.writeLog(group, 0, to: &writer)
            writer.flag(7, true)
            for epoch in held { writer.bytes(8, DigestCodec.encode(epoch)) }
            writer.flag(9, hasMore)
            return writer.bytes
        }
    }

    package static func response(_ bytes: [UInt8], of federation: FederationID) throws(EntryDecodeError) -> RangeResponse {
        guard bytes.count <= LinkChannel.payloadBytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(bytes.count)) }
        var parts = Parts()
        var reader = FieldReader(bytes[...])
        while let (field, value) = try reader.next() { try parts.take(field, value, federation) }
        let group = try Self.group(parts.stream, parts.origin)
        if parts.isList { return .epochs(group, parts.held, hasMore: parts.hasMore) }
        guard let epoch = parts.epoch else { throw EntryDecodeError(.missingField, at: 3) }
        guard let head = parts.head else { throw EntryDecodeError(.missingField, at: 4) }
        guard head <= BatchCodec.sequenceMax else { throw EntryDecodeError(.badField, at: 4) }
        return .entries(LogEpoch(origin: group.origin, stream: group.stream, epoch: epoch), head: head, parts.pieces)
    }

    static func size(of pieces: [RangePiece]) -> Int {
        pieces.reduce(0) { sum, piece in
            switch piece {
            case .batch(let batch): sum + BatchCodec.size(of: batch) + 4
            case .skipped: sum + 12
            }
        }
    }

    private static func writeLog(_ group: LogGroup, _ epoch: UInt64, to writer: inout FieldWriter) {
        writer.varint(1, UInt64(group.stream.rawValue))
        writer.bytes(2, group.origin.bytes)
        writer.fixed64(3, epoch)
    }

    private static func group(_ stream: UInt64?, _ origin: ArraySlice<UInt8>?) throws(EntryDecodeError) -> LogGroup {
        guard let number = stream else { throw EntryDecodeError(.missingField, at: 1) }
        guard let stream = UInt8(exactly: number).flatMap({ Stream(rawValue: $0) }) else { throw EntryDecodeError(.badField, at: 1) }
        guard let slice = origin else { throw EntryDecodeError(.missingField, at: 2) }
        guard slice.count == BoxID.byteCount, let origin = BoxID(slice) else { throw EntryDecodeError(.badField, at: 2) }
        return LogGroup(origin, stream)
    }

    private struct Parts {
        var stream: UInt64?
        var origin: ArraySlice<UInt8>?
        var epoch: UInt64?
        var head: UInt64?
        var pieces: [RangePiece] = []
        var isList = false
        var held: [HeldEpoch] = []
        var hasMore = false

        mutating func take(_ field: UInt64, _ value: FieldReader.Value, _ federation: FederationID) throws(EntryDecodeError) {
            switch (field, value) {
            case (1, .number(let number)): self.stream = number
            case (2, .bytes(let slice)): self.origin = slice
            case (3, .number(let number)): self.epoch = number
            case (4, .number(let number)): self.head = number
            case (5, .bytes(let slice)):
                let received = try BatchCodec.decode(slice)
                guard received.federation == federation else { throw EntryDecodeError(.badField, at: field) }
                try self.append(.batch(received.batch))
            case (6, .number(let number)):
                guard number <= BatchCodec.sequenceMax else { throw EntryDecodeError(.badField, at: field) }
                try self.append(.skipped(upTo: number))
            case (7, .number(let number)): self.isList = number == 1
            case (8, .bytes(let slice)):
                guard self.held.count < RangeCodec.epochsMax else { throw EntryDecodeError(.tooLarge, at: field) }
                self.held.append(try DigestCodec.epoch(slice))
            case (9, .number(let number)): self.hasMore = number == 1
            case (1...9, _): throw EntryDecodeError(.badField, at: field)
            default: break
            }
        }

        private mutating func append(_ piece: RangePiece) throws(EntryDecodeError) {
            guard self.pieces.count < RangeCodec.piecesMax else { throw EntryDecodeError(.tooLarge, at: 5) }
            self.pieces.append(piece)
        }
    }
}
