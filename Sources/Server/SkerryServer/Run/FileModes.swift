import CLinux

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Who else on the machine may read and replace what the box writes.
package enum FileModes {
    /// From here on what this process writes is nobody else's to read, SQLite's files included. Before the first file of a data directory,
    /// whichever verb makes it.
    static func forOwnerOnly() { umask(0o077) }

    /// Whether any user of the machine may put other files in the place of those in `directory`.
    package static func isWritableByAnybody(_ directory: String) -> Bool { skerry_is_writable_by_anybody(directory) != 0 }
}
