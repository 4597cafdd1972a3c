import NIOCore

extension SocketAddress? {
    /// The address as a person reads it; the port is nobody's business.
    package var addressText: String { self?.ipAddress ?? "local" }
}
