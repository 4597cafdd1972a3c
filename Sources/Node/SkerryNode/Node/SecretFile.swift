#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Why a file could not be read or written, and what to do.
package struct SecretFileError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Small files of the data directory that must be whole or absent, and secret from other users of the box.
package struct SecretFile: Sendable {
    package static let bytesMax = 64 * 1024
    package let path: String

    package init(path: String) { self.path = path }

    /// The bytes; nil when there is no such file.
    package func read() throws(SecretFileError) -> [UInt8]? {
        let descriptor = open(self.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw self.failure("cannot be read")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = block.withUnsafeMutableBytes { systemRead(descriptor, $0) }
            if count < 0 {
                if errno == EINTR { continue }
                throw self.failure("cannot be read")
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: block.prefix(count))
            guard bytes.count <= Self.bytesMax else { throw SecretFileError("\(self.path) is too large to be a key or a certificate.") }
        }
    }

    /// Writes the file so that a power cut leaves the old one or the whole new one.
    package func write(_ bytes: [UInt8]) throws(SecretFileError) {
        let partial = "\(self.path).partial"
        unlink(partial)
        let descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw self.failure("cannot be written") }
        var rest = bytes[...]
        var isWritten = true
        while !rest.isEmpty, isWritten {
            let count = rest.withUnsafeBytes { systemWrite(descriptor, $0) }
            if count > 0 { rest = rest.dropFirst(count) } else { isWritten = errno == EINTR }
        }
        isWritten = isWritten && fsync(descriptor) == 0
        close(descriptor)
        guard isWritten, rename(partial, self.path) == 0 else {
            let error = self.failure("cannot be written")
            unlink(partial)
            throw error
        }
        self.syncFolder()
    }

    /// Takes the file away, if there is one.
    package func remove() throws(SecretFileError) {
        guard unlink(self.path) == 0 || errno == ENOENT else { throw self.failure("cannot be removed") }
        self.syncFolder()
    }

    /// Makes the new name survive a power cut. Some file systems refuse it; then there is nothing better to do.
    private func syncFolder() {
        let folder = self.path.lastIndex(of: "/").map { String(self.path[..<$0]) } ?? "."
        let descriptor = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    private func failure(_ what: String) -> SecretFileError {
        SecretFileError("\(self.path) \(what): \(String(cString: strerror(errno))). Look at the disk and its permissions.")
    }
}

// Inside the type its own `read` and `write` hide the system's.
private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int { read(descriptor, bytes.baseAddress, bytes.count) }
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int { write(descriptor, bytes.baseAddress, bytes.count) }
