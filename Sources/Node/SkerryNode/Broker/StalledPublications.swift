import DequeModule
import MQTTSession
import SkerryModel
import Synchronization

/// Messages that are ours whatever the disk says (`Publication.isOurs`) and found no room on it: their live receivers have them, so they are neither
/// given up nor routed again. They are tried again until there is room, and PUBCOMP waits.
///
/// The order of one publisher's messages is that of their commits [MQTT-4.6.0-6], so while one waits those behind it wait as well, whichever shard
/// settled them and whatever room there is by then. Decided inside the transaction, where there is one order of all of them.
final class StalledPublications: Sendable {
    struct Entry: Sendable {
        var publication: Publication
        var receivers: Publication.Receivers
        /// Where it was settled.
        var shard: Shard
    }

    private struct State {
        var entries = Deque<Entry>()
        var byteCount = 0
        /// So many of the first have been written by the group that is running.
        var written = 0
        /// One was too much, and what comes behind it must not overtake it: nothing is taken until all is through.
        var isFull = false
    }

    private let state = Mutex(State())

    /// Messages that wait.
    var count: Int { self.state.withLock(\.entries.count) }

    /// Whether it is this message's turn in the running group; asked by its job before it writes anything.
    func admits(_ publication: Publication) -> Bool {
        self.state.withLock { state in
            // All that waited are in this group, before it, and fail or succeed with it.
            if state.written == state.entries.count { return true }
            guard state.entries[state.written].publication === publication else { return false }
            state.written += 1
            return true
        }
    }

    /// The running group failed, and with it whatever it had written.
    func groupFailed() { self.state.withLock { $0.written = 0 } }

    /// There was no room, or it was not its turn. False: it is too much to keep.
    func keep(_ publication: Publication, _ receivers: Publication.Receivers, _ shard: Shard, bytesMax: Int) -> Bool {
        self.state.withLock { state in
            if publication.stalling.exchange(.waits, ordering: .relaxed) != .not { return true }
            let byteCount = publication.message.byteCount
            guard !state.isFull, state.byteCount + byteCount <= bytesMax else {
                state.isFull = !state.entries.isEmpty
                publication.stalling.store(.not, ordering: .relaxed)
                return false
            }
            state.entries.append(Entry(publication: publication, receivers: receivers, shard: shard))
            state.byteCount += byteCount
            return true
        }
    }

    /// It is on the disk, or never will be.
    func done(_ publication: Publication) {
        if publication.stalling.load(ordering: .relaxed) == .not { return }
        self.state.withLock { state in
            publication.stalling.store(.not, ordering: .relaxed)
            // The first, as far as the disk decides.
            guard let index = state.entries.firstIndex(where: { $0.publication === publication }) else { return }
            state.entries.remove(at: index)
            state.byteCount -= publication.message.byteCount
            if index < state.written { state.written -= 1 }
            if state.entries.isEmpty { state.isFull = false }
        }
    }

    /// Those to try again, in order.
    func take() -> [Entry] {
        self.state.withLock { state in
            state.entries.filter {
                $0.publication.stalling.compareExchange(expected: .waits, desired: .isTriedAgain, ordering: .relaxed).exchanged
            }
        }
    }
}
