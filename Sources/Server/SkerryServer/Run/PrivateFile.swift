import SkerryNode

/// Files that a command writes and reads for its user: for that user's eyes only.
package enum PrivateFile {
    /// Whole or not at all.
    package static func write(_ text: String, to path: String) throws(ServerError) {
        do throws(SecretFileError) { try SecretFile(path: path).write(Array(text.utf8)) } catch { throw ServerError(error.description) }
    }

    package static func read(_ path: String) throws(ServerError) -> String {
        let bytes: [UInt8]?
        do throws(SecretFileError) { bytes = try SecretFile(path: path).read() } catch { throw ServerError(error.description) }
        guard let bytes else { throw ServerError("There is no file \(path).") }
        return String(decoding: bytes, as: UTF8.self)
    }
}
