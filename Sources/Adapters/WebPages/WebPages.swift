import HTTPTypes
package import Hummingbird
import NIOCore

/// The web chat at `/`, the administrator's pages at `/admin` and the files they are made of.
///
/// Plain files from the binary; everything they show they fetch from `/v1` like any other client, with the token of the person who signed in.
package enum WebPages {
    /// Adds the pages, their files and a page for addresses that lead nowhere. Call it after the other routes; none of them is shadowed.
    ///
    /// - Parameter sisters: the other boxes of the federation as sources of a content security policy. Only the chat leaves its box.
    package static func addRoutes(to router: some RouterMethods, sisters: @escaping @Sendable () -> [String] = { [] }) {
        for method in [HTTPRequest.Method.get, .head] {
            router.on("", method: method) { request, _ in Self.page("index.html", for: request, sisters: sisters()) }
            router.on("admin", method: method) { request, _ in Self.page("admin.html", for: request) }
            router.on("assets/**", method: method) { request, context in
                Self.page(context.parameters.getCatchAll().joined(separator: "/"), for: request)
            }
            router.on("**", method: method) { request, _ in
                // The interface's own answer to a wrong address is a problem document, which is not ours to write.
                if Self.isInterface(request.uri.path) { throw HTTPError(.notFound) }
                return Self.page("", for: request)
            }
        }
    }

    static func isInterface(_ path: String) -> Bool { path == "/v1" || path.hasPrefix("/v1/") }

    // MARK: - One answer

    static let assets: [String: Asset] = Dictionary(
        Asset.files.map { ($0.name, Asset(name: $0.name, content: $0.content)) }, uniquingKeysWith: { first, _ in first })

    private static func page(_ name: String, for request: Request, sisters: [String] = []) -> Response {
        let response = Self.response(to: name, headers: request.headers, authority: request.head.authority, sisters: sisters)
        return request.method == .head ? response.createHeadResponse() : response
    }

    /// The file of that name; the page that says so when there is none.
    static func response(to name: String, headers: HTTPFields, authority: String?, sisters: [String] = []) -> Response {
        var fields = PageHeaders.fields(authority: authority, sisters: sisters)
        guard let asset = Self.assets[name] else {
            let page = Self.assets["notfound.html"]
            fields[.contentType] = page?.contentType
            fields[.cacheControl] = "no-store"
            return Response(status: .notFound, headers: fields, body: ResponseBody(byteBuffer: page?.plain ?? ByteBuffer()))
        }
        fields[.contentType] = asset.contentType
        fields[.cacheControl] = "no-cache"
        fields[.vary] = "Accept-Encoding"
        let compressed = Self.acceptsGzip(headers[.acceptEncoding]) ? asset.gzip : nil
        // The two forms are different bytes, so they must not share a strong validator (RFC 9110 §8.8.3.3).
        fields[.eTag] = compressed == nil ? "\"\(asset.hash)\"" : "\"\(asset.hash)-gzip\""
        if Self.isKnown(headers[.ifNoneMatch], hash: asset.hash) {
            return Response(status: .notModified, headers: fields)
        }
        if let compressed {
            fields[.contentEncoding] = "gzip"
            return Response(status: .ok, headers: fields, body: ResponseBody(byteBuffer: compressed))
        }
        return Response(status: .ok, headers: fields, body: ResponseBody(byteBuffer: asset.plain))
    }

    /// Whether the client said it takes gzip (RFC 9110 §12.5.3); silence is a no, and so is `q=0`.
    static func acceptsGzip(_ field: String?) -> Bool {
        guard let field else { return false }
        var byName: Bool?
        var byStar: Bool?
        for part in field.split(separator: ",") {
            let pieces = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            let isRefused = pieces.dropFirst().contains { $0.hasPrefix("q=0") && $0.dropFirst(3).allSatisfy { $0 == "." || $0 == "0" } }
            switch pieces.first {
            case "gzip", "x-gzip": byName = !isRefused
            case "*": byStar = !isRefused
            default: break
            }
        }
        return byName ?? byStar ?? false
    }

    /// Whether the client holds this content already, in either form (RFC 9110 §13.1.2: weak comparison).
    static func isKnown(_ field: String?, hash: String) -> Bool {
        guard let field else { return false }
        return field.split(separator: ",").contains { part in
            let tag = part.filter { $0 != " " && $0 != "\t" }
            let opaque = tag.hasPrefix("W/") ? tag.dropFirst(2) : tag[...]
            return opaque == "*" || opaque == "\"\(hash)\"" || opaque == "\"\(hash)-gzip\""
        }
    }
}
