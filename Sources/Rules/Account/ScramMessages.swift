import SkerryModel

/// `client-first-message` (RFC 5802 §7): `n,,n=user,r=nonce`.
struct ScramClientFirst: Sendable {
    /// The GS2 header as it came: what the final message has to repeat.
    let header: [UInt8]
    /// Everything behind the header: a part of what is signed.
    let bare: String
    let name: String
    let nonce: String

    init(_ message: [UInt8]) throws(Scram.Refusal) {
        let text = try ScramText.text(message)
        // At most two cuts: the flag, the identity to act for, and the rest.
        let parts = text.utf8.split(separator: UInt8(ascii: ","), maxSplits: 2, omittingEmptySubsequences: false).map { Substring($0) }
        guard parts.count == 3 else { throw .invalidEncoding }
        switch parts[0] {
        // `y`: the client could bind to the channel and believes that the box cannot, which is true.
        case "n", "y": break
        default: throw parts[0].hasPrefix("p=") ? .channelBindingNotSupported : .invalidEncoding
        }
        let fields = ScramText.fields(parts[2])
        // A client that sends `m=` must not be served by a server that does not know what it stands for (§5.1).
        if fields.first?.hasPrefix("m=") == true { throw .extensionsNotSupported }
        guard fields.count >= 2, let name = ScramText.value(fields[0], of: "n"), let nonce = ScramText.value(fields[1], of: "r") else { throw .invalidEncoding }
        try ScramText.checkExtensions(fields.dropFirst(2))
        self.name = try ScramText.name(name)
        guard ScramText.isNonce(nonce) else { throw .invalidEncoding }
        if !parts[1].isEmpty {
            guard let identity = ScramText.value(parts[1], of: "a") else { throw .invalidEncoding }
            guard UserName.key(of: try ScramText.name(identity)) == UserName.key(of: self.name) else { throw .other }
        }
        self.header = Array("\(parts[0]),\(parts[1]),".utf8)
        self.bare = String(parts[2])
        self.nonce = String(nonce)
    }
}

/// `client-final-message`: `c=header,r=nonce,p=proof`.
struct ScramClientFinal: Sendable {
    let binding: [UInt8]
    let nonce: Substring
    let proof: [UInt8]
    /// Everything before the proof: a part of what is signed.
    let withoutProof: Substring

    init(_ message: [UInt8]) throws(Scram.Refusal) {
        let text = try ScramText.text(message)
        let fields = ScramText.fields(Substring(text))
        guard fields.count >= 3, let last = fields.last else { throw .invalidEncoding }
        guard let binding = ScramText.value(fields[0], of: "c").flatMap({ Base64.decode($0.utf8) }), let nonce = ScramText.value(fields[1], of: "r"),
            let proof = ScramText.value(last, of: "p").flatMap({ Base64.decode($0.utf8) }), ScramText.isNonce(nonce)
        else { throw .invalidEncoding }
        try ScramText.checkExtensions(fields[2..<(fields.count - 1)])
        self.binding = binding
        self.nonce = nonce
        self.proof = proof
        self.withoutProof = text[..<text.utf8.index(last.startIndex, offsetBy: -1)]
    }
}

/// The parts that both messages are made of.
private enum ScramText {
    static func text(_ message: [UInt8]) throws(Scram.Refusal) -> String {
        guard message.count <= Scram.messageBytesMax, !message.contains(0), let text = String(validating: message, as: UTF8.self) else {
            throw .invalidEncoding
        }
        return text
    }

    /// Cut at every comma. By bytes: a comma with an accent behind it is one character, but no letter of a name.
    static func fields(_ text: Substring) -> [Substring] {
        text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Substring($0) }
    }

    static func value(_ field: Substring, of attribute: Character) -> Substring? {
        guard let name = attribute.asciiValue, field.utf8.starts(with: [name, UInt8(ascii: "=")]), field.utf8.count > 2 else { return nil }
        return Substring(field.utf8.dropFirst(2))
    }

    /// `1*(printable)`: visible ASCII without the comma.
    static func isNonce(_ text: Substring) -> Bool {
        text.utf8.count <= Scram.nonceBytesMax && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    /// Optional extensions that the box does not know are to be ignored, mandatory ones refused.
    static func checkExtensions(_ fields: some Collection<Substring>) throws(Scram.Refusal) {
        for field in fields {
            let bytes = Array(field.utf8.prefix(3))
            guard bytes.count == 3, bytes[1] == UInt8(ascii: "="), UInt8(ascii: "a")...UInt8(ascii: "z") ~= bytes[0] | 0x20 else { throw .invalidEncoding }
            if bytes[0] == UInt8(ascii: "m") { throw .extensionsNotSupported }
        }
    }

    /// `saslname`: `=2C` stands for a comma, `=3D` for the sign itself, nothing else may follow one.
    static func name(_ text: Substring) throws(Scram.Refusal) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "=") else {
                bytes.append(byte)
                continue
            }
            switch Array(rest.prefix(2)) {
            case Array("2C".utf8): bytes.append(UInt8(ascii: ","))
            case Array("3D".utf8): bytes.append(UInt8(ascii: "="))
            default: throw .invalidUserName
            }
            rest = rest.dropFirst(2)
        }
        guard let name = String(validating: bytes, as: UTF8.self) else { throw .invalidUserName }
        return name
    }
}
