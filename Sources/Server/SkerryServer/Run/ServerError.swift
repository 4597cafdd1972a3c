#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Why a box could not start or a command could not be carried out, in words that say what to do.
package struct ServerError: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }

    /// `what`, with the system's reason (`errno`).
    static func system(_ what: String) -> ServerError {
        let number = errno
        return ServerError("\(what): \(strerror(number).map { String(cString: $0) } ?? "error \(number)")")
    }
}
