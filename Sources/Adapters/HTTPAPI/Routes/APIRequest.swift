import Account
import ChatCodec
import HTTPTypes
import Hummingbird
import NIOCore
import SkerryModel

/// A request as its route sees it: everything read, nothing decided.
struct APIRequest: Sendable {
    let head: HTTPRequest
    let context: SkerryRequestContext
    let query: Query
    /// The fields of the body; empty when the route takes none.
    var fields: RequestFields

    var headers: HTTPFields { self.head.headerFields }
    var address: AddressKey { self.context.addressKey }

    /// Whether a program on this machine asked, by an address that only this machine has. A connection from loopback alone says less: a
    /// proxy makes it for people elsewhere, and a page whose name was pointed at 127.0.0.1 makes it in the browser of somebody here.
    var isFromTheBoxItself: Bool {
        guard self.context.isLoopback, let host = self.head.authority else { return false }
        for name in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
            if let name = HTTPField.Name(name), self.headers[name] != nil { return false }
        }
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
        return name.lowercased() == "localhost" || name == "[::1]" || (name.hasPrefix("127.") && name.allSatisfy { $0 == "." || $0.isASCII && $0.isNumber })
    }

    /// A part of the path that the route has a name for, decoded.
    func parameter(_ name: String) throws(SkerryError) -> String {
        guard let raw = self.context.parameters.get(name), let text = PercentDecoding.decode(raw), !text.isEmpty, !text.contains("/") else {
            throw SkerryError(.badRequest, "The path is not percent-encoded UTF-8.", field: name)
        }
        return text
    }

    /// An id in the path. Whatever cannot be one is as unknown as one nobody has.
    func id<ID: Identifier>(_ name: String, as: ID.Type = ID.self, unknown: String) throws(SkerryError) -> ID {
        guard let id = ID(text: try self.parameter(name)) else { throw SkerryError(.notFound, unknown) }
        return id
    }

    /// A user in the path, by id or `@name`.
    func user(_ name: String) throws(SkerryError) -> UserReference { try UserReference(try self.parameter(name), field: name) }

    func required(_ value: String?, _ field: String) throws(SkerryError) -> String {
        guard let value else { throw SkerryError(.payloadInvalid, "\(field) is missing.", field: field) }
        return value
    }

    func role(default: Role? = nil) throws(SkerryError) -> Role {
        if self.fields.role == nil, let `default` { return `default` }
        guard let role = Role(text: self.fields.role ?? "") else { throw SkerryError(.payloadInvalid, "role is user or admin.", field: "role") }
        return role
    }
}
