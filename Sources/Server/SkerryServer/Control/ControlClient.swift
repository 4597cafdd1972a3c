import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The command line's side of the control socket. Waits in the calling thread; a command has nothing else to do.
package struct ControlClient {
    private let directory: RunDirectory

    package init(data: String) { self.directory = RunDirectory(data: data) }

    /// The running box's answer; nil when no box runs on this data directory.
    package func perform(_ request: ControlRequest) throws(ServerError) -> ControlReply? {
        guard access("\(self.directory.path)/\(RunDirectory.socketName)", F_OK) == 0 else { return nil }
        let holder = try SocketPath(self.directory)
        #if os(Linux)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        #else
        let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { throw .system("A socket could not be made") }
        defer { close(descriptor) }
        guard try Self.connect(descriptor, holder.path) else { return nil }
        try Self.write(descriptor, Array(request.line.readableBytesView))
        guard let reply = ControlReply(ByteBuffer(bytes: try Self.readAll(descriptor))) else {
            throw ServerError("The box went away before it answered; try again.")
        }
        return reply
    }

    /// False: nobody listens; the file is left from a box that was killed.
    private static func connect(_ descriptor: Int32, _ path: String) throws(ServerError) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw ServerError("\(path) is too long for a socket.") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { socketConnect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        if result == 0 { return true }
        if errno == ECONNREFUSED || errno == ENOENT { return false }
        throw .system("The box's control socket could not be opened (are you the user that runs it?)")
    }

    private static func write(_ descriptor: Int32, _ bytes: [UInt8]) throws(ServerError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { socketSend(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent) }
            guard count > 0 else { throw .system("The box does not listen") }
            sent += count
        }
    }

    private static func readAll(_ descriptor: Int32) throws(ServerError) -> [UInt8] {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count >= 0 else { throw .system("The box did not answer") }
            if count == 0 { return all }
            all += chunk.prefix(count)
        }
    }
}

private func socketConnect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
    connect(descriptor, address, length)
}

private func socketSend(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    #if os(Linux)
    send(descriptor, bytes, count, Int32(MSG_NOSIGNAL))
    #else
    send(descriptor, bytes, count, 0)
    #endif
}
