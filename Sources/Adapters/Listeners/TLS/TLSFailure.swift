import NIOSSL

/// Why TLS was not agreed on, for the log.
enum TLSFailure {
    /// Nil when the error is another one: a connection that just went is no failure of TLS.
    static func reason(_ error: any Error) -> String? {
        guard let error = error as? NIOSSLError, case .handshakeFailed(let cause) = error else { return nil }
        return "the TLS handshake failed: \(Self.words(cause))"
    }

    /// The part of the library's message that says something: `WRONG_VERSION_NUMBER`.
    private static func words(_ cause: BoringSSLError) -> String {
        guard case .sslError(let stack) = cause, let first = stack.first else { return "the client broke it off" }
        let text = first.description
        return text.split(separator: ":").last.map { String($0.prefix { $0 != " " }) } ?? text
    }
}
