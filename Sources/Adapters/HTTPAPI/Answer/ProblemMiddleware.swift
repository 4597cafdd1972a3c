import HTTPTypes
import Hummingbird
import Logging
import SkerryModel
import SkerryNode

/// Around every request, pages included: gives the answer its request id, and turns whatever was thrown into a problem document.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = SkerryRequestContext

    let metrics: NodeMetrics

    func handle(
        _ request: Request, context: SkerryRequestContext, next: @concurrent (Request, SkerryRequestContext) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await next(request, context)
        } catch let broken as RequestBodyReader.Broken {
            throw broken.underlying
        } catch {
            response = Self.refusal(error, context).response()
        }
        response.headers[.requestID] = context.requestID
        response.headers[.xContentTypeOptions] = "nosniff"
        self.count(response.status)
        if request.method == .head { response = response.createHeadResponse() }
        context.logger.debug(
            "HTTP request answered",
            metadata: [
                "method": .string(request.method.rawValue), "route": .string(context.endpointPath ?? "-"), "status": .stringConvertible(response.status.code),
            ])
        return response
    }

    private func count(_ status: HTTPResponse.Status) {
        self.metrics.add(.httpRequests)
        switch status.kind {
        case .clientError: self.metrics.add(.httpRefused)
        case .serverError: self.metrics.add(.httpFailed)
        case .informational, .successful, .redirection, .invalid: break
        }
    }

    private static func refusal(_ error: any Error, _ context: SkerryRequestContext) -> Refusal {
        switch error {
        case let refusal as Refusal: return refusal
        case let error as SkerryError: return Refusal(error: error)
        case let error as any HTTPResponseError: return Self.refusal(error.status)
        default:
            context.logger.error("HTTP request failed", metadata: ["error": .string("\(type(of: error))")])
            return Refusal(error: SkerryError(.unavailable, "The box could not answer this; see its log."))
        }
    }

    /// What the router and other routes refuse with a bare status.
    private static func refusal(_ status: HTTPResponse.Status) -> Refusal {
        switch status {
        case .notFound: Refusal(error: SkerryError(.notFound, "There is nothing at this address."))
        case .contentTooLarge: Refusal(error: SkerryError(.tooLarge, "The request is larger than this box accepts."))
        case .unsupportedMediaType: Refusal.mediaType("The body is application/json.")
        default:
            status.kind == .serverError
                ? Refusal(error: SkerryError(.unavailable, "The box could not answer this; see its log."))
                : Refusal(error: SkerryError(.badRequest, "The request could not be understood."), status: status)
        }
    }
}
