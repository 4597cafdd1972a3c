#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// What this box calls itself on its network; nil when it has no usable name.
func systemHostName() -> String? {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return nil }
    let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let isName = !name.isEmpty && name.utf8.allSatisfy { HTTPText.isTokenByte($0) }
    return isName ? name : nil
}

/// The name of this machine.
package enum HostName {
    package static var current: String? { systemHostName() }
}
