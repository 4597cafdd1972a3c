import Account
import ChatCodec
import HTTPTypes
package import Hummingbird
import NIOCore
import SkerryModel
package import SkerryNode

/// REST under `/v1`, health, metrics and the documents of the interface (Chat.md, PRODUCT.md §7).
///
/// Every route of the chat goes the way of a WebSocket frame: `ChatVerb.request`, then `ChatService.perform`. What is here is only HTTP.
package struct HTTPAPI: Sendable {
    private let control: NodeControl
    private let limits: Limits
    private let limiter: RequestLimiter
    private let repeats: IdempotencyStore
    let routes: [Route]

    package init(control: NodeControl, chat: ChatService) {
        let limits = control.node.limits
        self.control = control
        self.limits = limits
        let limiter = RequestLimiter(limits: limits)
        self.limiter = limiter
        let repeats = IdempotencyStore(limits: limits)
        self.repeats = repeats
        let routes =
            AccountRoutes(accounts: control.accounts, box: control.node.box).all + ChatRoutes(chat: chat, limits: limits).all
            + AdminRoutes(control: control, limits: limits).all + MQTTRoutes(control: control, limits: limits).all
            + AccessRoutes(control: control).all + FederationRoutes(control: control).all + LoadRoutes(control: control).all
        let documents = Documents(version: control.version, routes: routes, box: BoxRoutes(control: control))
        self.routes = documents.routes
        control.gauges.add(Gauge(name: "skerry_http_limiter_keys", help: "Users and addresses whose rate is remembered.") { limiter.keyCount })
        control.gauges.add(Gauge(name: "skerry_idempotency_keys", help: "Idempotency keys remembered.") { repeats.count })
    }

    /// Adds middleware and routes. Call it first: the middleware also serves the routes that are added after it.
    package func addRoutes(to router: Router<SkerryRequestContext>) {
        let control = self.control
        router.add(middleware: SisterPageMiddleware { origin in SisterPages.allow(origin, from: control.federation?.sisters ?? []) })
        router.add(middleware: ProblemMiddleware(metrics: self.control.node.metrics))
        for route in self.routes {
            for method in route.method == .get ? [route.method, .head] : [route.method] {
                router.on(RouterPath(route.path), method: method) { request, context in try await self.respond(to: request, route, context) }
            }
        }
    }

    /// Makes every address answer the methods it does not know with 405 and those it does (RFC 9110 §15.5.6), and `OPTIONS` with the same
    /// list. Call it last: it looks at what has been registered.
    package static func refuseOtherMethods(on router: Router<SkerryRequestContext>) {
        let known = Dictionary(grouping: router.routes, by: \.path.description)
        for routes in known.values {
            // A pattern for whatever is left over says nothing about what is there.
            guard let path = routes.first?.path, !path.description.contains("*") else { continue }
            let methods = Set(routes.map(\.method))
            let allow = methods.union([.options]).map(\.rawValue).sorted().joined(separator: ", ")
            if !methods.contains(.options) {
                router.on(path, method: .options) { _, _ in Response(status: .noContent, headers: [.allow: allow]) }
            }
            for method in [HTTPRequest.Method.get, .head, .post, .put, .patch, .delete] where !methods.contains(method) {
                router.on(path, method: method) { _, _ -> Response in throw Refusal.method(allow: allow) }
            }
        }
    }

    // MARK: - One request

    private func respond(to request: Request, _ route: Route, _ context: SkerryRequestContext) async throws -> Response {
        // The router sees no difference between `/v1/me` and `/v1//me/`; an address has one spelling here.
        guard Self.isExact(request.uri.path) else { throw HTTPError(.notFound) }
        var limited: RequestLimiter.Answer?
        do {
            var caller: Caller?
            if route.access != .open { caller = try await BearerToken.caller(request.headers, context.addressKey, self.control.accounts) }
            if route.isLimited {
                let answer = self.limiter.take(caller.map { .user($0.user) } ?? .address(context.addressKey), now: self.control.node.clock.monotonic())
                limited = answer
                if let seconds = answer.retryAfterSeconds {
                    self.control.node.metrics.add(.httpLimited)
                    throw SkerryError(.rateLimited, "You are asking faster than this box allows.", retryAfterSeconds: seconds)
                }
            }
            if route.access == .admin, caller?.role != .admin {
                throw SkerryError(.forbidden, "Only an administrator of this box may do this.")
            }
            let answer = try await self.answer(request, route, context, caller)
            var response = self.tagged(answer, route, request).response()
            limited?.write(to: &response.headers)
            return response
        } catch let error as SkerryError {
            var refusal = Refusal(error: error)
            limited?.write(to: &refusal.headers)
            throw refusal
        }
    }

    private func answer(_ request: Request, _ route: Route, _ context: SkerryRequestContext, _ caller: Caller?) async throws -> Answer {
        var fields = RequestFields()
        var bytes = ByteBuffer()
        if route.body != nil { (fields, bytes) = try await RequestBodyReader.fields(request, from: route.access, limits: self.limits) }
        let api = APIRequest(head: request.head, context: context, query: try Query(request.uri.query), fields: fields)
        guard route.isRepeatable, let caller, let text = request.headers[.idempotencyKey] else { return try await Self.run(route, api, caller) }

        let key = IdempotencyStore.Key(user: caller.user, text: text)
        let fingerprint = IdempotencyStore.fingerprint(route.method, request.uri.path, bytes)
        switch self.repeats.begin(key, fingerprint: fingerprint, now: self.control.node.clock.monotonic()) {
        case .replay(let answer): return answer
        case .refused(let error): throw error
        case .new:
            do {
                let answer = try await Self.run(route, api, caller)
                self.repeats.finish(key, answer)
                return answer
            } catch {
                self.repeats.finish(key, nil)
                throw error
            }
        }
    }

    private static func isExact(_ path: String) -> Bool { !path.hasSuffix("/") && !path.contains("//") }

    private static func run(_ route: Route, _ request: APIRequest, _ caller: Caller?) async throws -> Answer {
        switch route.handler {
        case .open(let handler): return try await handler(request)
        case .signedIn(let handler):
            guard let caller else { throw SkerryError(.unauthenticated, "Sign in first.") }
            return try await handler(request, caller)
        }
    }

    /// Adds the `ETag`, and leaves out the body that the client has already.
    private func tagged(_ answer: Answer, _ route: Route, _ request: Request) -> Answer {
        guard route.hasTag, let body = answer.body else { return answer }
        var answer = answer
        let tag = EntityTag.of(body)
        answer.headers[.eTag] = tag
        if route.method == .get, let known = request.headers[.ifNoneMatch], EntityTag.list(known, names: tag) {
            answer.status = .notModified
            answer.body = nil
        }
        return answer
    }
}
