#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Reads a settings file: small, regular, at start, so plainly.
package enum SettingsFileReader {
    /// The bytes of the file at `path`, at most one more than a settings file may have; nil when there is no file.
    package static func read(_ path: String) throws(SettingsError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw Self.failure(path)
        }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count <= ConfigFile.bytesMax {
            let count = chunk.withUnsafeMutableBytes { buffer in
                guard let base = buffer.baseAddress else { return 0 }
                #if canImport(Glibc)
                return Glibc.read(descriptor, base, buffer.count)
                #elseif canImport(Musl)
                return Musl.read(descriptor, base, buffer.count)
                #else
                return Darwin.read(descriptor, base, buffer.count)
                #endif
            }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.failure(path)
            }
            bytes.append(contentsOf: chunk.prefix(count))
        }
        return bytes
    }

    private static func failure(_ path: String) -> SettingsError {
        SettingsError("\(path): the settings file cannot be read: \(String(cString: strerror(errno)))")
    }
}
