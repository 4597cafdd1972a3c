import ChatCodec
import NIOCore
import SkerryModel
import SkerryNode

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// `run/` in the data directory: what a running box tells other programs of the same machine. Gone when the box stops.
package struct RunDirectory: Sendable {
    package let path: String

    package static let endpointsName = "endpoints.json"
    package static let claimName = "claim.link"
    package static let socketName = "control.sock"

    package init(data: String) { self.path = data + "/run" }

    package var claimPath: String { "\(self.path)/\(Self.claimName)" }

    /// Makes the directory for the owner's eyes only and removes what an earlier run left.
    func prepare() throws(ServerError) {
        guard mkdir(self.path, 0o700) == 0 || errno == EEXIST else { throw .system("\(self.path) could not be made") }
        chmod(self.path, 0o700)
        self.clear()
    }

    func clear() {
        for name in [Self.endpointsName, Self.claimName, Self.socketName] { unlink("\(self.path)/\(name)") }
    }

    /// Written when every listener is open, in one step: who waits for the file finds all of it.
    func writeEndpoints(box: BoxID, listeners: [ListenerRecord]) throws(ServerError) {
        let json = JSONWriter.make {
            $0.field("box", box.description)
            $0.field("version", SkerryVersion.text)
            $0.field("pid", Int(getpid()))
            $0.array("listeners", listeners) { json, listener in
                json.object { listener.write(to: &$0) }
            }
            for (key, isTLS) in [("http", false), ("https", true)] as [(StaticString, Bool)] {
                if let listener = listeners.first(where: { $0.kind == .http && $0.isTLS == isTLS }) {
                    $0.field(key, LocalAddress.url(isTLS ? "https" : "http", listener.address, listener.port))
                }
            }
        }
        try self.write(Self.endpointsName, Array(json.readableBytesView) + [0x0A])
    }

    func writeClaim(_ link: String) throws(ServerError) { try self.write(Self.claimName, Array(link.utf8) + [0x0A]) }
    func removeClaim() { unlink(self.claimPath) }

    private func write(_ name: String, _ bytes: [UInt8]) throws(ServerError) {
        let (path, temporary) = ("\(self.path)/\(name)", "\(self.path)/.\(name).new")
        // A new file, never one that lies there: it could be a link to something else.
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("\(temporary) could not be written") }
        defer { close(descriptor) }
        let isWritten = bytes.withUnsafeBytes { buffer in
            // A few hundred bytes: the kernel takes them in one call or not at all.
            Self.writeAll(descriptor, buffer)
        }
        guard isWritten, rename(temporary, path) == 0 else { throw .system("\(path) could not be written") }
    }

    private static func writeAll(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) -> Bool {
        #if canImport(Glibc)
        Glibc.write(descriptor, buffer.baseAddress, buffer.count) == buffer.count
        #elseif canImport(Musl)
        Musl.write(descriptor, buffer.baseAddress, buffer.count) == buffer.count
        #else
        Darwin.write(descriptor, buffer.baseAddress, buffer.count) == buffer.count
        #endif
    }
}

/// How people reach a listener from where they are.
package enum LocalAddress {
    /// `http://127.0.0.1:8080` for a listener on that address or on every address of the box.
    package static func url(_ scheme: String, _ address: String, _ port: Int) -> String {
        let host: String
        switch address {
        case "0.0.0.0": host = "127.0.0.1"
        case "::": host = "[::1]"
        case let address where address.contains(":"): host = "[\(address)]"
        default: host = address
        }
        return "\(scheme)://\(host):\(port)"
    }

    /// The addresses of this machine's networks, for the links that are printed; loopback and link-local ones are left out.
    package static func hosts(of bind: String) -> [String] {
        guard bind == "0.0.0.0" || bind == "::" else { return [bind] }
        var hosts: [String] = []
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var next = list
        while let interface = next {
            next = interface.pointee.ifa_next
            guard let address = interface.pointee.ifa_addr, Int32(address.pointee.sa_family) == AF_INET else { continue }
            guard interface.pointee.ifa_flags & UInt32(IFF_LOOPBACK) == 0 else { continue }
            var text = [CChar](repeating: 0, count: Int(INET_ADDRSTRLEN))
            address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                var value = pointer.pointee.sin_addr
                _ = inet_ntop(AF_INET, &value, &text, socklen_t(text.count))
            }
            let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if !host.isEmpty, !host.hasPrefix("169.254."), !hosts.contains(host) { hosts.append(host) }
        }
        return hosts
    }
}
