package import NIOSSL
import Synchronization

/// The TLS of one kind of listener: whatever context is in force when a connection comes. A changed one is for later connections; those that
/// are there keep what they shook hands with.
package final class TLSDoor: Sendable {
    private let current: Mutex<NIOSSLContext>

    package init(_ context: NIOSSLContext) { self.current = Mutex(context) }

    package var context: NIOSSLContext { self.current.withLock { $0 } }
    package func change(_ context: NIOSSLContext) { self.current.withLock { $0 = context } }
}
