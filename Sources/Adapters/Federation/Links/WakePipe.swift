import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Ends a `poll` from any thread. However often it is rung before it is heard, one byte is written.
final class WakePipe: Sendable {
    let reader: Int32
    private let writer: Int32
    private let isRung = Atomic<Bool>(false)

    /// Nil when the process has as many descriptors as it may.
    init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0, let reader = ends.first, let writer = ends.last else { return nil }
        for end in ends {
            _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        self.reader = reader
        self.writer = writer
    }

    deinit {
        close(self.reader)
        close(self.writer)
    }

    func ring() {
        guard !self.isRung.exchange(true, ordering: .acquiringAndReleasing) else { return }
        var byte: UInt8 = 1
        _ = write(self.writer, &byte, 1)
    }

    /// What is rung from now on is heard later.
    func hear() {
        var byte: UInt8 = 0
        while read(self.reader, &byte, 1) > 0 {}
        self.isRung.store(false, ordering: .sequentiallyConsistent)
    }
}
