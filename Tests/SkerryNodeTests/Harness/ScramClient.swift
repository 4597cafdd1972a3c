import Crypto
import CryptoExtras
import FoundationEssentials
import MQTTCodec
import NIOCore

/// The client's side of SCRAM-SHA-256 (RFC 5802), for tests only: it believes whatever it is sent, but for the box's proof at the end.
struct ScramClient {
    let name: String
    let password: String
    var header = "n,,"
    let nonce: String
    private(set) var signature: [UInt8] = []

    init(_ name: String, _ password: String, nonce: String = "fyko+d2lbbFgONRv9qkxdawL") {
        self.name = name
        self.password = password
        self.nonce = nonce
    }

    private var bare: String { "n=\(self.name),r=\(self.nonce)" }
    var first: [UInt8] { Array((self.header + self.bare).utf8) }

    /// What the box asked, by attribute.
    static func attributes(_ message: [UInt8]) -> [Character: String] {
        var attributes: [Character: String] = [:]
        for field in String(decoding: message, as: UTF8.self).split(separator: ",") {
            if let name = field.first { attributes[name] = String(field.dropFirst(2)) }
        }
        return attributes
    }

    mutating func final(_ challenge: [UInt8]) throws -> [UInt8] {
        let asked = Self.attributes(challenge)
        guard let nonce = asked["r"], let salt = asked["s"].flatMap({ Data(base64Encoded: $0) }), let rounds = asked["i"].flatMap({ Int($0) }) else {
            throw Unexpected("no challenge but \(String(decoding: challenge, as: UTF8.self))")
        }
        let salted = try KDF.Insecure.PBKDF2.deriveKey(
            from: Array(self.password.utf8), salt: salt, using: .sha256, outputByteCount: 32, unsafeUncheckedRounds: rounds)
        let clientKey = Array(HMAC<SHA256>.authenticationCode(for: Array("Client Key".utf8), using: salted))
        let serverKey = HMAC<SHA256>.authenticationCode(for: Array("Server Key".utf8), using: salted)
        let withoutProof = "c=\(Data(self.header.utf8).base64EncodedString()),r=\(nonce)"
        let signed = Array("\(self.bare),\(String(decoding: challenge, as: UTF8.self)),\(withoutProof)".utf8)
        let signature = HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: Array(SHA256.hash(data: clientKey))))
        self.signature = Array(HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: Array(serverKey))))
        let proof = Data(zip(clientKey, signature).map { $0 ^ $1 }).base64EncodedString()
        return Array("\(withoutProof),p=\(proof)".utf8)
    }

    /// Whether `message` proves that the box knew the password.
    func believes(_ message: [UInt8]) -> Bool {
        Self.attributes(message)["v"].flatMap { Data(base64Encoded: $0) }.map(Array.init) == self.signature && !self.signature.isEmpty
    }
}

extension MQTTAuth {
    init(_ reason: MQTTReason, _ data: [UInt8]?, method: String? = "SCRAM-SHA-256") {
        self.init(reason)
        self.properties.authenticationMethod = method
        self.properties.authenticationData = data.map { ByteBuffer(bytes: $0) }
    }

    var data: [UInt8] { self.properties.authenticationData.map { Array($0.readableBytesView) } ?? [] }
}
