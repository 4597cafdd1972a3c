import Store
import Synchronization

/// Where a durable queue's session is at home, and what the two sides share of it.
struct QueueHome: Sendable {
    var shard: Int
    var key: UInt64
    var cursor: QueueCursor
}

/// Where a durable queue goes over from rows that were sent to rows that were not.
///
/// The home sends rows and the writer drops some for newer ones, both from this place on and in order. Whoever has moved the cursor past a row
/// has that row for itself: so nothing is sent that is dropped, nor dropped that is in flight. A home that finds its next row taken waits for
/// word of the transaction.
final class QueueCursor: Sendable {
    /// The first row that nobody has taken.
    private let next: Atomic<UInt64>

    init(after sent: UInt64) { self.next = Atomic(sent + 1) }

    var value: UInt64 { self.next.load(ordering: .acquiring) }

    /// False: it was taken before.
    func take(_ seq: UInt64) -> Bool {
        while true {
            let next = self.value
            if next > seq { return false }
            if self.take(seq, from: next) { return true }
        }
    }

    /// Takes a row, the first one from `start` on; false: the cursor is elsewhere by now.
    func take(_ seq: UInt64, from start: UInt64) -> Bool {
        self.next.compareExchange(expected: start, desired: seq + 1, ordering: .acquiringAndReleasing).exchanged
    }

    /// The rows from `start` on were taken and are there all the same.
    func giveBack(_ start: UInt64, from end: UInt64) { _ = self.next.compareExchange(expected: end, desired: start, ordering: .acquiringAndReleasing) }
}

/// A queue as it is on the disk: where it ends, and what waits in it.
///
/// It is not counted row by row: holes are only where messages were acknowledged out of order or were dropped for newer ones, so before the
/// first row that was never sent; and of those that were sent, no more than may be in flight are left. Behind as many rows it is whole, and the
/// sums in its two ends tell the rest.
struct QueueFound: Sendable {
    private(set) var bounds: QueueBounds
    private(set) var count = 0
    private(set) var byteCount = 0
    /// The last of the first rows that may have been sent.
    private(set) var begunSeq: UInt64 = 0

    private static let pageBytesMax = 256 * 1024

    /// Nil when the queue is empty.
    ///
    /// - Parameter begunMax: how many rows, from the first, may have been sent.
    init?(_ session: Int32, begunMax: Int, _ store: any StoreReading) throws {
        guard let bounds = try store.queueBounds(of: session) else { return nil }
        self.bounds = bounds
        var last: QueueEntry?
        while self.count <= begunMax {
            let page = try store.queueEntries(of: session, after: last?.seq ?? 0, limit: begunMax + 1 - self.count, bytes: Self.pageBytesMax)
            if page.isEmpty { return }
            for row in page {
                self.count += 1
                if self.count <= begunMax { self.begunSeq = row.seq }
                if row.flags & QueueFlags.released == 0 {
                    let difference = last.map { $0.seq + 1 == row.seq ? Int(clamping: row.byteSum - $0.byteSum) : nil } ?? nil
                    self.byteCount += difference ?? QueueWriter.byteCount(of: row)
                }
                last = row
            }
        }
        guard let last else { return }
        self.count += Int(clamping: bounds.last - last.seq)
        self.byteCount += Int(clamping: bounds.lastByteSum - last.byteSum)
    }
}
