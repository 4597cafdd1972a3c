package import Store
import Synchronization

/// A place in memory: opening it again gives what was committed.
package final class MemoryPlace: StorePlace {
    private let latest = Mutex<MemoryStore?>(nil)

    package init() {}

    package func open() throws -> any Store {
        self.latest.withLock { latest in
            let store = latest.map { MemoryStore(reopening: $0) } ?? MemoryStore()
            latest = store
            return store
        }
    }
}
