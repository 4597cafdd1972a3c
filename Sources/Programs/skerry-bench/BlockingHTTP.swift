#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A request and its answer on a connection of their own: for setting up, never for measuring.
enum BlockingHTTP {
    static func get(port: Int, _ path: String, token: String? = nil) throws -> String {
        let (status, text) = try Self.exchange(port: port, path, nil, token, nil)
        guard status == 200 else { throw BenchError("\(path) answered \(status): \(text.prefix(300))") }
        return text
    }

    static func post(port: Int, _ path: String, _ body: String, token: String?, from address: String?) throws -> String {
        // A freshly made account may find the password hashing busy; that is an answer to wait after.
        for _ in 0..<50 {
            let (status, text) = try Self.exchange(port: port, path, body, token, address)
            if (200..<300).contains(status) { return text }
            guard status == 503 || status == 429 else { throw BenchError("\(path) answered \(status): \(text.prefix(300))") }
            Clock.sleep(milliseconds: 200)
        }
        throw BenchError("\(path) stays busy")
    }

    private static func exchange(port: Int, _ path: String, _ body: String?, _ token: String?, _ address: String?) throws -> (Int, String) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchError("no socket") }
        defer { _ = close(descriptor) }
        if let address { _ = LoopbackName.with(address, 0) { bind(descriptor, $0, $1) } }
        guard LoopbackName.with("127.0.0.1", port, { connect(descriptor, $0, $1) }) == 0 else { throw BenchError("port \(port) does not answer") }
        var head = "\(body == nil ? "GET" : "POST") \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        let request = Array((head + "\r\n" + (body ?? "")).utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { throw BenchError("port \(port) does not listen") }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            answer += chunk[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 "), let status = Int(text.dropFirst(9).prefix(3)) else { throw BenchError("\(path): no answer") }
        return (status, text)
    }
}

/// Ports of the loopback address.
enum FreePort {
    /// A port that nobody listens on now.
    static func find() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { _ = close(descriptor) }
        guard LoopbackName.with("127.0.0.1", 0, { bind(descriptor, $0, $1) }) == 0 else { throw BenchError("there is no free port") }
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { throw BenchError("there is no free port") }
        return Int(UInt16(bigEndian: name.sin_port))
    }

    static func isServed(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { _ = close(descriptor) }
        return LoopbackName.with("127.0.0.1", port) { connect(descriptor, $0, $1) } == 0
    }
}

enum LoopbackName {
    static func with(_ address: String, _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(UInt16(port)).bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        return withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
