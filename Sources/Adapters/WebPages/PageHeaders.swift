import HTTPTypes

/// The header fields that hold a browser to what these pages need.
enum PageHeaders {
    /// Everything from this box and nothing inline. The authority adds the WebSocket address for browsers that do not take it as part of `'self'`.
    ///
    /// - Parameter sisters: sources of the other boxes of the federation, whose chat the page goes on with when this box is left. It may connect there
    ///   and nothing else: what it shows and runs comes from this box alone.
    static func policy(authority: String?, sisters: [String] = []) -> String {
        var connect = "'self'"
        if let authority, Self.isPlainAuthority(authority) { connect += " ws://\(authority) wss://\(authority)" }
        for source in sisters { connect += " \(source)" }
        return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src \(connect); manifest-src 'self'; "
            + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    }

    static func fields(authority: String?, sisters: [String] = []) -> HTTPFields {
        var fields = HTTPFields()
        fields[.contentSecurityPolicy] = Self.policy(authority: authority, sisters: sisters)
        fields[.xContentTypeOptions] = "nosniff"
        fields[.referrerPolicy] = "no-referrer"
        fields[.permissionsPolicy] = "geolocation=(self), camera=(), microphone=(), payment=(), usb=(), serial=(), display-capture=()"
        fields[.crossOriginOpenerPolicy] = "same-origin"
        fields[.crossOriginResourcePolicy] = "same-origin"
        fields[.xFrameOptions] = "DENY"
        return fields
    }

    /// Whether the text is a host and a port and nothing that could end one rule of the policy and begin another.
    private static func isPlainAuthority(_ text: String) -> Bool {
        text.utf8.count <= 255
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"): true
                default: false
                }
            }
    }
}

extension HTTPField.Name {
    static let referrerPolicy = Self.known("Referrer-Policy")
    static let permissionsPolicy = Self.known("Permissions-Policy")
    static let crossOriginOpenerPolicy = Self.known("Cross-Origin-Opener-Policy")
    static let xFrameOptions = Self.known("X-Frame-Options")

    /// For the literals above only; a wrong one fails at the first page that any test asks for.
    private static func known(_ name: String) -> Self {
        guard let name = Self(name) else { preconditionFailure("\(name) is no field name") }
        return name
    }
}
