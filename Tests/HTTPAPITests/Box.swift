import Account
import FoundationEssentials
import HTTPAPI
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import SkerryModel
import SkerryNode
import Synchronization
import TestKit
import Testing

/// A box that is asked over HTTP without a socket.
final class Box: Sendable {
    let node: Node
    let control: NodeControl
    /// What is registered, for looking at.
    let routes: [(method: HTTPRequest.Method, path: String)]
    private let responder: RouterResponder<SkerryRequestContext>
    private let time: Time
    private let store: MemoryStore
    static let password = "correct horse"

    private final class Time: Sendable {
        private let passed = Mutex<UInt64>(0)
        var milliseconds: UInt64 { self.passed.withLock { $0 } }
        func pass(_ milliseconds: UInt64) { self.passed.withLock { $0 += milliseconds } }
    }

    /// What a box is made of before its interface.
    private struct Parts {
        let time = Time()
        let store: MemoryStore
        let node: Node
        let accounts: AccountService

        init(_ limits: Limits, _ loop: any EventLoop) {
            let random = Mutex(SeededRandom(seed: 7))
            let time = self.time
            self.store = MemoryStore(.inline, limits: limits)
            self.node = Node(
                box: Sample.box, loops: [loop], store: self.store, limits: limits,
                clock: NodeClock(wall: { 1_700_000_000_000 + time.milliseconds }, monotonic: { 1_000 + time.milliseconds }),
                random: NodeRandom { random.withLock { $0.next() } })
            self.accounts = AccountService(node: self.node, cost: .weakest, passwordThreads: 2)
        }
    }

    convenience init(limits: Limits = Limits()) { self.init(Parts(limits, NIOAsyncTestingEventLoop()), nil) }

    /// With an MQTT broker, on a loop that really runs.
    static func withBroker(limits: Limits = Limits()) async throws -> Box {
        let parts = Parts(limits, MultiThreadedEventLoopGroup.singleton.next())
        var settings = BrokerSettings()
        settings.anonymous = [try TopicFilter("#")]
        let broker = try await MQTTBroker.start(
            node: parts.node, accounts: parts.accounts, chat: ChatService(node: parts.node), settings: settings, hasTimer: false)
        return Box(parts, broker)
    }

    /// Ends what runs on threads of its own.
    func close() async throws {
        await self.control.broker?.stop()
        self.store.close()
    }

    private init(_ parts: Parts, _ broker: MQTTBroker?) {
        (self.time, self.store, self.node) = (parts.time, parts.store, parts.node)
        let accounts = parts.accounts
        let listeners = ListenerRegistry()
        listeners.opened(ListenerRecord(kind: .http, address: "0.0.0.0", port: 8_080, isTLS: false))
        let probe = SystemProbe(residentBytes: { 20_000_000 }, disk: { (freeBytes: 5, totalBytes: 9) }, clockIsSynced: { false })
        self.control = NodeControl(node: self.node, accounts: accounts, listeners: listeners, broker: broker, version: "0.1", probe: probe)
        let router = Router(context: SkerryRequestContext.self)
        HTTPAPI(control: self.control, chat: ChatService(node: self.node)).addRoutes(to: router)
        HTTPAPI.refuseOtherMethods(on: router)
        self.routes = router.routes.map { ($0.method, $0.path.description) }
        self.responder = router.buildResponder()
    }

    func closeStore() { self.store.close() }
    func pass(seconds: Int) { self.time.pass(UInt64(seconds) * 1_000) }

    // MARK: Asking

    struct Reply: Sendable {
        var status: Int
        var headers: HTTPFields
        var body: ByteBuffer

        var json: JSON? { try? JSONDecoder().decode(JSON.self, from: Data(self.body.readableBytesView)) }
        var code: String? { self.json?["code"]?.text }
        subscript(name: String) -> JSON? { self.json?[name] }
    }

    func ask(
        _ method: HTTPRequest.Method, _ path: String, token: String? = nil, _ body: String? = nil, headers: [HTTPField.Name: String] = [:],
        from address: String? = "192.0.2.1", host: String = "box.local"
    ) async throws -> Reply {
        var fields = HTTPFields()
        if let token { fields[.authorization] = "Bearer \(token)" }
        if let body {
            fields[.contentType] = "application/json"
            fields[.contentLength] = String(body.utf8.count)
        }
        for (name, value) in headers { fields[name] = value.isEmpty ? nil : value }
        return try await self.send(method, path, fields, RequestBody(buffer: ByteBuffer(string: body ?? "")), from: address, host: host)
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ fields: HTTPFields, _ body: RequestBody, from address: String? = nil, host: String = "box.local"
    ) async throws -> Reply {
        let channel = NIOAsyncTestingChannel()
        channel.remoteAddress = try address.map { try SocketAddress(ipAddress: $0, port: 40_000) }
        let source = ApplicationRequestContextSource(channel: channel, logger: Self.logger)
        let request = Request(head: HTTPRequest(method: method, scheme: "http", authority: host, path: path, headerFields: fields), body: body)
        let response = try await self.responder.respond(to: request, context: SkerryRequestContext(source: source))
        let collected = Mutex(ByteBuffer())
        try await response.body.write(Collector(collected: { part in collected.withLock { _ = $0.writeImmutableBuffer(part) } }))
        return Reply(status: response.status.code, headers: response.headers, body: collected.withLock { $0 })
    }

    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private struct Collector: ResponseBodyWriter {
        let collected: @Sendable (ByteBuffer) -> Void
        mutating func write(_ buffer: ByteBuffer) async throws { self.collected(buffer) }
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    // MARK: People

    /// An administrator `ada`; her token.
    func claimed() async throws -> String {
        let link = try await self.control.accounts.openClaim()
        let reply = try await self.ask(.post, "/v1/claim", #"{"token":"\#(link.token.text)","name":"ada","password":"\#(Self.password)"}"#)
        return try #require(reply["token"]?.text)
    }

    /// An ordinary user; their token and id.
    func user(_ name: String) async throws -> (token: String, id: String) {
        let user = try await self.control.accounts.createUser(name: name, password: Self.password, role: .user, by: .console)
        let reply = try await self.ask(.post, "/v1/login", #"{"name":"\#(name)","password":"\#(Self.password)"}"#)
        return (try #require(reply["token"]?.text), user.id.description)
    }
}

/// Any JSON, to look into.
enum JSON: Decodable, Sendable, Equatable {
    case object([String: JSON])
    case array([JSON])
    case string(String)
    case number(Double)
    case bool(Bool)
    case null

    init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: Key.self) {
            var object: [String: JSON] = [:]
            for key in keyed.allKeys { object[key.stringValue] = try keyed.decode(JSON.self, forKey: key) }
            self = .object(object)
            return
        }
        if var list = try? decoder.unkeyedContainer() {
            var array: [JSON] = []
            while !list.isAtEnd { array.append(try list.decode(JSON.self)) }
            self = .array(array)
            return
        }
        let value = try decoder.singleValueContainer()
        if let text = try? value.decode(String.self) {
            self = .string(text)
        } else if let flag = try? value.decode(Bool.self) {
            self = .bool(flag)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else {
            self = .null
        }
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    subscript(name: String) -> JSON? { if case .object(let object) = self { object[name] } else { nil } }
    subscript(index: Int) -> JSON? { if case .array(let array) = self, array.indices.contains(index) { array[index] } else { nil } }
    var text: String? { if case .string(let text) = self { text } else { nil } }
    var number: Double? { if case .number(let number) = self { number } else { nil } }
    var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    var count: Int? { if case .array(let array) = self { array.count } else { nil } }
    var items: [JSON] { if case .array(let array) = self { array } else { [] } }
    var keys: [String] { if case .object(let object) = self { object.keys.sorted() } else { [] } }
}
