/// What was agreed about permessage-deflate (RFC 7692 §7.1). "Server" is this box, "client" the other side.
package struct DeflateAgreement: Sendable, Hashable {
    package var serverForgets = false
    package var clientForgets = false
    package var serverWindowBits = 15
    package var clientWindowBits = 15
    /// The client's window was bounded by us, so the answer says so.
    private var namesClientWindow = false

    /// What this box wants from a compressed connection.
    package struct Wish: Sendable, Hashable {
        /// Keep the window from message to message: better compression, but some 300 KiB for every connection.
        package var keepsContext: Bool
        package init(keepsContext: Bool = false) { self.keepsContext = keepsContext }
    }

    /// The first acceptable offer among the values of `Sec-WebSocket-Extensions`; nil: no compression, which never is an error.
    package init?(offers header: some StringProtocol, wish: Wish) {
        for offer in ExtensionOffer.parse(header) where offer.name == "permessage-deflate" {
            if let agreement = Self.accept(offer) {
                self = agreement
                if !wish.keepsContext {
                    // RFC 7692 §7.1.1: a server may demand both although the client did not offer them.
                    self.serverForgets = true
                    self.clientForgets = true
                }
                return
            }
        }
        return nil
    }

    private init() {}

    /// Nil when the offer holds a parameter that is unknown, repeated, out of range, or that zlib cannot do (RFC 7692 §7: decline the offer).
    private static func accept(_ offer: ExtensionOffer) -> DeflateAgreement? {
        var agreement = DeflateAgreement()
        var seen: Set<String> = []
        for (name, value) in offer.parameters {
            guard seen.insert(name).inserted else { return nil }
            switch name {
            case "server_no_context_takeover":
                guard value == nil else { return nil }
                agreement.serverForgets = true
            case "client_no_context_takeover":
                guard value == nil else { return nil }
                agreement.clientForgets = true
            case "server_max_window_bits":
                // zlib's raw deflate has no window of 256 bytes, so 8 is declined.
                guard let bits = Self.windowBits(value), bits >= 9 else { return nil }
                agreement.serverWindowBits = bits
            case "client_max_window_bits":
                guard let value else { continue }
                guard let bits = Self.windowBits(value) else { return nil }
                // The client will not use more than it says; our inflater needs no more either.
                agreement.clientWindowBits = max(9, bits)
                agreement.namesClientWindow = bits >= 9
            default: return nil
            }
        }
        return agreement
    }

    /// A number from 8 to 15 without sign or leading zero (RFC 7692 §7.1.2.1).
    private static func windowBits(_ value: String?) -> Int? {
        guard let value, !value.hasPrefix("0"), value.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bits = Int(value) else { return nil }
        return (8...15).contains(bits) ? bits : nil
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    package var header: String {
        var text = "permessage-deflate"
        if self.serverForgets { text += "; server_no_context_takeover" }
        if self.clientForgets { text += "; client_no_context_takeover" }
        if self.serverWindowBits < 15 { text += "; server_max_window_bits=\(self.serverWindowBits)" }
        if self.namesClientWindow { text += "; client_max_window_bits=\(self.clientWindowBits)" }
        return text
    }
}

/// One element of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
struct ExtensionOffer {
    var name: String
    var parameters: [(String, String?)]

    /// The offers of a header in the client's order of preference. An element that breaks the grammar is left out.
    static func parse(_ header: some StringProtocol) -> [ExtensionOffer] {
        Self.split(String(header), at: ",").compactMap { element in
            let parts = Self.split(element, at: ";").map(Self.trim)
            guard let name = parts.first, HTTPText.isToken(name) else { return nil }
            var parameters: [(String, String?)] = []
            for part in parts.dropFirst() {
                let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { Self.trim(String($0)) }
                guard let key = pair.first, HTTPText.isToken(key) else { return nil }
                if pair.count == 1 {
                    parameters.append((key.lowercased(), nil))
                } else {
                    var value = pair[1]
                    if value.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") { value = String(value.dropFirst().dropLast()) }
                    guard HTTPText.isToken(value) else { return nil }
                    parameters.append((key.lowercased(), value))
                }
            }
            return ExtensionOffer(name: name.lowercased(), parameters: parameters)
        }
    }

    /// Splits outside quotation marks.
    private static func split(_ text: String, at separator: Character) -> [String] {
        var parts = [""]
        var isQuoted = false
        for character in text {
            if character == "\"" { isQuoted.toggle() }
            if character == separator, !isQuoted { parts.append("") } else { parts[parts.count - 1].append(character) }
        }
        return parts
    }

    private static func trim(_ text: String) -> String { HTTPText.trim(text) }
}
