import Crypto
import CryptoExtras
import FoundationEssentials
import NIOCore
import Replication
import SkerryModel
import SwiftASN1

/// The CA's key under a passphrase, to be kept away from the boxes: a PEM text around
/// `1:format 2:log2 N 3:r 4:p 5:salt 6:CA certificate 7:nonce ‖ key ‖ tag`; scrypt makes the key of AES-256-GCM, and everything before field 7 is authenticated with it.
enum RecoveryFile {
    static let format: UInt64 = 1
    static let bytesMax = 16 * 1024
    private static let discriminator = "SKERRY FEDERATION RECOVERY"
    /// 32 MiB of memory for a moment: what a small board can bear, and a thief has to pay for every guess.
    private static let (logRounds, blockSize, parallelism): (UInt64, UInt64, UInt64) = (15, 8, 1)

    static func seal(key: [UInt8], authority: [UInt8], passphrase: String, salt: [UInt8]) throws(SkerryError) -> [UInt8] {
        let header = Self.header(logRounds: Self.logRounds, blockSize: Self.blockSize, parallelism: Self.parallelism, salt: salt, authority: authority)
        do {
            let lock = try Self.derive(passphrase, salt, Self.logRounds, Self.blockSize, Self.parallelism)
            guard let sealed = try AES.GCM.seal(key, using: lock, authenticating: header).combined else {
                throw SkerryError(.unavailable, "The recovery file could not be made.")
            }
            var writer = FieldWriter(reserving: sealed.count + 8)
            writer.bytes(7, sealed)
            let document = PEMDocument(type: Self.discriminator, derBytes: header + writer.bytes)
            return Array((document.pemString + "\n").utf8)
        } catch let error as SkerryError {
            throw error
        } catch {
            throw SkerryError(.unavailable, "The recovery file could not be made: \(error).")
        }
    }

    /// The CA's key and its certificate.
    static func open(_ file: [UInt8], passphrase: String) throws(SkerryError) -> (key: [UInt8], authority: [UInt8]) {
        let damaged = SkerryError(
            .payloadInvalid, "This is not a recovery file, or it is damaged. Take the file that `skerry pair recovery` wrote.", field: "file")
        guard file.count <= Self.bytesMax, let document = try? PEMDocument(pemString: String(decoding: file, as: UTF8.self)),
            document.discriminator == Self.discriminator, let fields = try? FieldMap(document.derBytes[...])
        else { throw damaged }
        guard fields.number(1) == Self.format else {
            throw SkerryError(.payloadInvalid, "The recovery file was made by a newer version of Skerry. Bring this box to that version.", field: "file")
        }
        // The file is not trusted before it is opened: it may not ask for more memory than one that this program makes, and a little.
        guard let rounds = fields.number(2), (10...17).contains(rounds), fields.number(3) == Self.blockSize, let parallelism = fields.number(4),
            (1...4).contains(parallelism), let salt = fields.slice(5).map({ Array($0) }), (8...64).contains(salt.count),
            let authority = fields.slice(6).map({ Array($0) }), authority.count <= FederationCertificates.bytesMax,
            let sealed = fields.slice(7).map({ Array($0) }), sealed.count <= 256, let box = try? AES.GCM.SealedBox(combined: sealed)
        else { throw damaged }
        let header = Self.header(logRounds: rounds, blockSize: Self.blockSize, parallelism: parallelism, salt: salt, authority: authority)
        guard let lock = try? Self.derive(passphrase, salt, rounds, Self.blockSize, parallelism) else { throw damaged }
        guard let key = try? AES.GCM.open(box, using: lock, authenticating: header) else {
            throw SkerryError(.forbidden, "The passphrase is wrong, or the file was changed. Try the passphrase again.", field: "passphrase")
        }
        return (Array(key), authority)
    }

    private static func header(logRounds: UInt64, blockSize: UInt64, parallelism: UInt64, salt: [UInt8], authority: [UInt8]) -> [UInt8] {
        var writer = FieldWriter(reserving: 1_024)
        writer.varint(1, Self.format)
        writer.varint(2, logRounds)
        writer.varint(3, blockSize)
        writer.varint(4, parallelism)
        writer.bytes(5, salt)
        writer.bytes(6, authority)
        return writer.bytes
    }

    private static func derive(_ passphrase: String, _ salt: [UInt8], _ logRounds: UInt64, _ blockSize: UInt64, _ parallelism: UInt64) throws -> SymmetricKey {
        let rounds = 1 << Int(logRounds)
        return try KDF.Scrypt.deriveKey(
            from: Array(passphrase.utf8), salt: salt, outputByteCount: 32, rounds: rounds, blockSize: Int(blockSize), parallelism: Int(parallelism),
            maxMemory: 128 * Int(blockSize) * (rounds + 64))
    }
}
