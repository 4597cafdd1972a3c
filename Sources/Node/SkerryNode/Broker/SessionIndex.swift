import MQTTSession

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The sessions of one shard by client id, byte by byte: what lists are read from, a bounded part at a time.
///
/// Pieces of at most `pieceMax` sessions, so that one that comes or goes moves a few kilobytes at most, however many there are. An order that
/// follows from the client ids alone makes a cursor of the last one seen: it stays right while sessions come and go, and over a restart.
struct SessionIndex {
    static let pieceMax = 512
    private var pieces: [[BrokerSession]] = []
    private(set) var count = 0

    mutating func insert(_ session: BrokerSession) {
        let id = session.machine.clientID
        self.count += 1
        guard !self.pieces.isEmpty else {
            self.pieces = [[session]]
            return
        }
        let piece = max(0, self.piece(holding: id))
        let place = Self.firstIndex(in: self.pieces[piece]) { !Self.isLess($0.machine.clientID, id) }
        self.pieces[piece].insert(session, at: place)
        guard self.pieces[piece].count > Self.pieceMax else { return }
        let half = self.pieces[piece].count / 2
        let upper = Array(self.pieces[piece][half...])
        self.pieces[piece].removeSubrange(half...)
        self.pieces.insert(upper, at: piece + 1)
    }

    mutating func remove(_ session: BrokerSession) {
        let id = session.machine.clientID
        // Two sessions of one client id are there for a moment, when a damaged end is found at the start.
        var piece = max(0, self.piece(holding: id))
        while piece >= 0, piece < self.pieces.count {
            if let place = self.pieces[piece].firstIndex(where: { $0 === session }) {
                self.pieces[piece].remove(at: place)
                if self.pieces[piece].isEmpty { self.pieces.remove(at: piece) }
                self.count -= 1
                return
            }
            guard let first = self.pieces[piece].first, !Self.isLess(first.machine.clientID, id) else { return }
            piece -= 1
        }
    }

    /// Calls `body` for the sessions from `start` on, rising, until it returns false.
    func forEach(from start: String, includesStart: Bool, _ body: (BrokerSession) -> Bool) {
        var piece = max(0, self.piece(holding: start))
        guard piece < self.pieces.count else { return }
        var place = Self.firstIndex(in: self.pieces[piece]) {
            includesStart ? !Self.isLess($0.machine.clientID, start) : Self.isLess(start, $0.machine.clientID)
        }
        while piece < self.pieces.count {
            while place < self.pieces[piece].count {
                guard body(self.pieces[piece][place]) else { return }
                place += 1
            }
            piece += 1
            place = 0
        }
    }

    /// The last piece that begins at or before `id`; -1 when `id` is before all.
    private func piece(holding id: String) -> Int {
        Self.firstIndex(in: self.pieces) { piece in piece.first.map { Self.isLess(id, $0.machine.clientID) } ?? false } - 1
    }

    /// Where `holds` begins to be true.
    private static func firstIndex<Element>(in elements: [Element], where holds: (Element) -> Bool) -> Int {
        var (low, high) = (0, elements.count)
        while low < high {
            let middle = (low + high) / 2
            if holds(elements[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Bytewise, as the cursors of all lists here: `<` of String would take two spellings of a letter for one.
    static func isLess(_ left: String, _ right: String) -> Bool {
        let isLess = left.utf8.withContiguousStorageIfAvailable { left in
            right.utf8.withContiguousStorageIfAvailable { right -> Bool in
                guard let a = left.baseAddress, let b = right.baseAddress else { return left.isEmpty && !right.isEmpty }
                let order = memcmp(a, b, min(left.count, right.count))
                return order == 0 ? left.count < right.count : order < 0
            }
        }
        if let isLess = isLess.flatMap({ $0 }) { return isLess }
        return left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}
