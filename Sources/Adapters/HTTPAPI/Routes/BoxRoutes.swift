import ChatCodec
import HTTPTypes
import NIOCore
import SkerryModel
import SkerryNode

/// What machines ask of a box: whether it lives, whether it is ready, its figures and the description of its interfaces.
struct BoxRoutes {
    let control: NodeControl

    /// - Parameters: the documents, which describe the whole table and so are made after it.
    func all(openAPI: @escaping @Sendable () -> ByteBuffer, asyncAPI: @escaping @Sendable () -> ByteBuffer) -> [Route] {
        [
            Route(
                method: .get, path: "/healthz", access: .open, summary: "Whether the process answers", answer: .object([.required("status")]),
                isLimited: false, handler: .open { _ in .json { $0.field("status", "ok") } }),
            Route(
                method: .get, path: "/readyz", access: .open, summary: "Whether the box takes new work, and why not", answer: .ref("Readiness"),
                isLimited: false,
                handler: .open { _ in
                    let reasons = await self.control.unreadiness()
                    return .json(reasons.isEmpty ? .ok : .serviceUnavailable) {
                        $0.field("ready", reasons.isEmpty)
                        $0.array("reasons", reasons) { $0.string($1) }
                    }
                }),
            Route(
                method: .get, path: "/metrics", access: .open,
                summary: "Figures in Prometheus' text form; from the box itself, or with an administrator's token",
                answer: .text, answerType: "text/plain; version=0.0.4", isLimited: false, handler: .open(self.metrics)),
            Route(
                method: .get, path: "/v1/openapi.json", access: .open, summary: "This document", answer: .object([]), hasTag: true,
                handler: .open { _ in .json(openAPI()) }),
            Route(
                method: .get, path: "/v1/asyncapi.json", access: .open, summary: "The WebSocket and MQTT interfaces, as AsyncAPI", answer: .object([]),
                hasTag: true, handler: .open { _ in .json(asyncAPI()) }),
            Route(
                method: .get, path: "/v1/ws", access: .open, summary: "The chat as a WebSocket (subprotocol `skerry.v1.json`), or MQTT (subprotocol `mqtt`)",
                status: .switchingProtocols,
                handler: .open { _ in
                    throw Refusal(
                        error: SkerryError(.badRequest, "This address speaks WebSocket."), status: .upgradeRequired, headers: [.upgrade: "websocket"])
                }),
        ]
    }

    @Sendable private func metrics(_ request: APIRequest) async throws -> Answer {
        if !request.isFromTheBoxItself {
            let caller = try await BearerToken.caller(request.headers, request.address, self.control.accounts)
            try await self.control.requireAdministrator(.caller(caller))
        }
        await self.control.refreshFigures()
        return .text(MetricsText.make(self.control), "text/plain; version=0.0.4; charset=utf-8")
    }
}

/// The box's figures as Prometheus reads them (text exposition format 0.0.4).
enum MetricsText {
    static func make(_ control: NodeControl) -> String {
        var text = ""
        for name in MetricName.allCases {
            Self.append(name.rawValue, name.help, "counter", control.node.metrics.value(name), to: &text)
        }
        for family in MetricFamily.allCases {
            text += "# HELP \(family.rawValue) \(family.help)\n# TYPE \(family.rawValue) counter\n"
            for (labels, value) in control.node.metrics.values(family) { text += "\(family.rawValue){\(labels)} \(value)\n" }
        }
        for gauge in control.gauges.all {
            if let value = gauge.value() { Self.append(gauge.name, gauge.help, "gauge", value, to: &text) }
        }
        Self.append("skerry_uptime_seconds", "Seconds since the start.", "gauge", control.uptimeSeconds, to: &text)
        return text
    }

    private static func append(_ name: String, _ help: String, _ type: String, _ value: Int, to text: inout String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n\(name) \(value)\n"
    }
}
