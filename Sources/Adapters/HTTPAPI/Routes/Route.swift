import HTTPTypes
import Hummingbird
import SkerryNode

/// One row of the interface: how it is called, what it takes and answers, and who answers it.
///
/// The same table registers the routes and writes the OpenAPI document, so the two cannot drift apart.
struct Route: Sendable {
    enum Access: Sendable {
        /// Nobody is asked who they are.
        case open
        case user
        case admin
    }

    enum Handler: Sendable {
        case open(@Sendable (APIRequest) async throws -> Answer)
        case signedIn(@Sendable (APIRequest, Caller) async throws -> Answer)
    }

    /// A name in the query, and what it does.
    struct Parameter: Sendable {
        var name: String
        var schema: Schema
        var summary: String
    }

    var method: HTTPRequest.Method
    /// As in OpenAPI: `/v1/conversations/{conv}`.
    var path: String
    var access: Access
    var summary: String
    var query: [Parameter] = []
    /// The fields of the JSON body; nil when it takes none.
    var body: [Schema.Property]?
    var status = HTTPResponse.Status.ok
    /// A second success, where a repeated request is answered otherwise.
    var repeatStatus: HTTPResponse.Status?
    /// Nil: no body.
    var answer: Schema?
    var answerType = "application/json"
    /// Whether the answer has a strong `ETag` that `If-None-Match` is compared with.
    var hasTag = false
    /// Whether `If-Match` is heeded.
    var heedsMatch = false
    /// Whether `Idempotency-Key` keeps a repeated request from being done twice.
    var isRepeatable = false
    /// Whether it counts towards the requester's rate.
    var isLimited = true
    var handler: Handler

    /// Names in braces, in order.
    var pathParameters: [String] {
        self.path.split(separator: "/").filter { $0.hasPrefix("{") && $0.hasSuffix("}") }.map { String($0.dropFirst().dropLast()) }
    }

    /// `getConversationMessages` for `GET /v1/conversations/{conv}/messages`: unique because method and path are.
    var operationID: String {
        let words = self.path.split(whereSeparator: { !$0.isLetter && !$0.isNumber }).filter { $0 != "v1" }
        return self.method.rawValue.lowercased() + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}
