import HTTPTypes
import MQTTCodec
import NIOCore
import NIOPosix
import SkerryModel
import SkerryNode
import Testing

@Suite struct MQTTRouteTests {
    @Test("clients are listed, narrowed, looked at, disconnected and removed")
    func clients() async throws {
        let box = try await Box.withBroker()
        let admin = try await box.claimed()
        let user = try await box.user("bob")
        let (first, second) = (Client(box), Client(box))
        try await first.connect("dev/1 é", user: "bob", password: Box.password, expiry: 600)
        try await second.connect("other", user: nil, password: nil, expiry: 0)
        try await first.subscribe("sensors/+")

        let list = try await box.ask(.get, "/v1/admin/mqtt/clients", token: admin)
        #expect(list.status == 200 && list["items"]?.items.map { $0["client"]?.text } == ["dev/1 é", "other"] && list["next"] == nil)
        let page = try await box.ask(.get, "/v1/admin/mqtt/clients?limit=1", token: admin)
        #expect(page["items"]?.count == 1 && page["next"]?.text == "dev/1 é")
        let rest = try await box.ask(.get, "/v1/admin/mqtt/clients?limit=1&after=dev/1%20%C3%A9", token: admin)
        #expect(rest["items"]?[0]?["client"]?.text == "other" && rest["next"] == nil)
        for (query, names) in [
            ("prefix=dev/", ["dev/1 é"]), ("user=@bob", ["dev/1 é"]), ("user=\(user.id)", ["dev/1 é"]), ("topic=sensors/a", ["dev/1 é"]),
            ("state=away", []), ("state=connected&prefix=o", ["other"]),
        ] {
            #expect(try await box.ask(.get, "/v1/admin/mqtt/clients?\(query)", token: admin)["items"]?.items.map { $0["client"]?.text } == names, "\(query)")
        }
        for bad in ["state=x", "topic=a/%23", "limit=0", "limit=999", "user=x"] {
            #expect(try await box.ask(.get, "/v1/admin/mqtt/clients?\(bad)", token: admin).status == 422, "\(bad)")
        }
        #expect(try await box.ask(.get, "/v1/admin/mqtt/clients?user=@nobody", token: admin).status == 404)

        let path = "/v1/admin/mqtt/clients/dev%2F1%20%C3%A9"
        let one = try await box.ask(.get, path, token: admin)
        #expect(one["client"]?.text == "dev/1 é" && one["name"]?.text == "bob" && one["connected"]?.flag == true && one["version"]?.text == "5.0")
        #expect(one["transport"]?.text == "tcp" && one["subscriptions"]?.number == 1 && one["durable"]?.flag == true && one["expirySeconds"]?.number == 600)
        let subscriptions = try await box.ask(.get, "\(path)/subscriptions", token: admin)
        #expect(subscriptions["items"]?[0]?["filter"]?.text == "sensors/+" && subscriptions["items"]?[0]?["qos"]?.number == 1)
        let subscribers = try await box.ask(.get, "/v1/admin/mqtt/subscribers?topic=sensors/1", token: admin)
        #expect(subscribers["items"]?.count == 1 && subscribers["items"]?[0]?["client"]?.text == "dev/1 é")
        #expect(try await box.ask(.get, "/v1/admin/mqtt/subscribers", token: admin).status == 422)

        #expect(try await box.ask(.post, "\(path)/kick", token: admin).status == 204)
        #expect(try await first.goodbye() == .administrativeAction)
        #expect(try await box.ask(.post, "\(path)/kick", token: admin).status == 404)
        #expect(try await box.ask(.get, path, token: admin)["connected"]?.flag == false)
        #expect(try await box.ask(.delete, path, token: admin).status == 204)
        #expect(try await box.ask(.get, path, token: admin).status == 404)
        #expect(try await box.ask(.delete, path, token: admin).status == 404)
        #expect(try await box.ask(.get, "/v1/admin/mqtt/clients/x/subscriptions", token: admin).status == 404)
        try await box.close()
    }

    @Test("a client whose id a browser takes out of a path is named behind it; one named - is still itself")
    func dots() async throws {
        let box = try await Box.withBroker()
        let admin = try await box.claimed()
        let (dots, dash) = (Client(box), Client(box))
        try await dots.connect("..", user: nil, password: nil, expiry: 0)
        try await dash.connect("-", user: nil, password: nil, expiry: 0)
        let path = "/v1/admin/mqtt/clients/-"
        #expect(try await box.ask(.get, path, token: admin)["client"]?.text == "-")
        #expect(try await box.ask(.get, "\(path)?id=..", token: admin)["client"]?.text == "..")
        #expect(try await box.ask(.get, "\(path)/subscriptions?id=..&limit=1", token: admin).status == 200)
        #expect(try await box.ask(.get, "/v1/admin/mqtt/clients/x?id=..", token: admin).status == 404)
        #expect(try await box.ask(.post, "\(path)/kick?id=..", token: admin).status == 204)
        #expect(try await dots.goodbye() == .administrativeAction)
        #expect(try await box.ask(.delete, path, token: admin).status == 204)
        try await box.close()
    }

    @Test("retained messages are listed, shown as text or base64, and cleared")
    func retained() async throws {
        let box = try await Box.withBroker()
        let admin = try await box.claimed()
        let client = Client(box)
        try await client.connect("c", user: nil, password: nil, expiry: 0)
        try await client.retain("a/1", Array("21 °C".utf8))
        try await client.retain("a/2", [0xFF, 0x00])
        try await client.retain("b", Array("x".utf8))
        let list = try await box.ask(.get, "/v1/admin/mqtt/retained", token: admin)
        #expect(list["items"]?.items.map { $0["topic"]?.text } == ["a/1", "a/2", "b"])
        #expect(list["items"]?[0]?["size"]?.number == 6 && list["items"]?[0]?["qos"]?.number == 1)
        let page = try await box.ask(.get, "/v1/admin/mqtt/retained?filter=a/%2B&limit=1", token: admin)
        #expect(page["items"]?.count == 1 && page["next"]?.text == "a/1")
        #expect(try await box.ask(.get, "/v1/admin/mqtt/retained?filter=a%23", token: admin).status == 422)
        let text = try await box.ask(.get, "/v1/admin/mqtt/retained/message?topic=a/1", token: admin)
        #expect(text["text"]?.text == "21 °C" && text["base64"] == nil && text["shown"]?.number == 6)
        #expect(try await box.ask(.get, "/v1/admin/mqtt/retained/message?topic=a/2", token: admin)["base64"]?.text == "/wA=")
        #expect(try await box.ask(.get, "/v1/admin/mqtt/retained/message?topic=no", token: admin).status == 404)
        #expect(try await box.ask(.get, "/v1/admin/mqtt/retained/message", token: admin).status == 422)
        #expect(try await box.ask(.delete, "/v1/admin/mqtt/retained/message?topic=b", token: admin).status == 204)
        #expect(try await box.ask(.delete, "/v1/admin/mqtt/retained/message?topic=b", token: admin).status == 404)
        #expect(try await box.ask(.delete, "/v1/admin/mqtt/retained", token: admin).status == 422)
        #expect(try await box.ask(.delete, "/v1/admin/mqtt/retained?filter=a/%23", token: admin)["cleared"]?.number == 2)
        #expect(try await box.ask(.get, "/v1/admin/mqtt/retained", token: admin)["items"]?.count == 0)
        try await box.close()
    }

    @Test("a payload is shown up to a bound")
    func long() async throws {
        var limits = Limits()
        limits.retainedShownBytesMax = 4
        let box = try await Box.withBroker(limits: limits)
        let admin = try await box.claimed()
        let client = Client(box)
        try await client.connect("c", user: nil, password: nil, expiry: 0)
        try await client.retain("t", Array("123456".utf8))
        let shown = try await box.ask(.get, "/v1/admin/mqtt/retained/message?topic=t", token: admin)
        #expect(shown["text"]?.text == "1234" && shown["size"]?.number == 6 && shown["shown"]?.number == 4)
        try await box.close()
    }

    @Test("a box without a broker says so")
    func none() async throws {
        let box = Box()
        let admin = try await box.claimed()
        #expect(try await box.ask(.get, "/v1/admin/mqtt/clients", token: admin).status == 503)
    }

    @Test("every figure of the broker has its help and type, and labels where it is told apart")
    func metrics() async throws {
        let box = try await Box.withBroker()
        let admin = try await box.claimed()
        let client = Client(box)
        try await client.connect("c", user: nil, password: nil, expiry: 0)
        try await client.retain("t", Array("123456".utf8))
        let stranger = Client(box)
        await #expect(throws: (any Error).self) { try await stranger.connect("s", user: "nobody", password: "x", expiry: 0) }
        let text = String(buffer: try await box.ask(.get, "/metrics", token: admin).body)
        let lines = text.split(separator: "\n")
        var described = Set<Substring>()
        for line in lines where line.hasPrefix("# HELP ") { described.insert(line.split(separator: " ")[2]) }
        let types = Set(lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] })
        #expect(described == types)
        for line in lines where !line.hasPrefix("#") { #expect(described.contains(line.prefix { $0 != " " && $0 != "{" }), "\(line)") }
        for line in [
            #"skerry_mqtt_connections_opened_total{version="5.0",transport="tcp"} 1"#, #"skerry_mqtt_connects_refused_total{reason="0x86"} 1"#,
            "skerry_mqtt_clients_connected 1", "skerry_mqtt_retained_messages 1", "skerry_mqtt_publish_bytes_received_total 6",
            "skerry_mqtt_queued_messages 0", "skerry_mqtt_in_flight_messages 0",
        ] { #expect(lines.contains(Substring(line)), "\(line)") }
        try await box.close()
    }
}

/// A client of the box's broker, without a socket.
private final class Client: MQTTOutlet, @unchecked Sendable {
    private let box: Box
    private let broker: MQTTBroker
    private let loop: any EventLoop
    // All on the loop.
    private var link: MQTTLink?
    private var home: Shard?
    private var decoder = MQTTDecoder(clientOf: .v5)
    private var packets: [MQTTPacket] = []
    private var waiting: (@Sendable () -> Void)?

    init(_ box: Box) {
        self.box = box
        self.broker = box.control.broker ?? { preconditionFailure("this box has no broker") }()
        self.loop = box.node.shards[0].loop
    }

    func accepted(by home: Shard) { self.home = home }
    func challenged(_ exchange: AuthExchange) {}
    func close() {}
    func resumeReading() {}
    func send(_ bytes: ByteBuffer) {
        self.decoder.append(bytes)
        while let packet = try? self.decoder.next() { self.packets.append(packet) }
        _ = self.link?.left(bytes.readableBytes, roomBelow: .max)
        self.waiting?()
    }

    private struct Refused: Error {}

    /// The next packet for this client.
    private func next() async throws -> MQTTPacket {
        try await withCheckedThrowingContinuation { continuation in
            self.loop.execute {
                let look: @Sendable () -> Void = {
                    guard !self.packets.isEmpty else { return }
                    self.waiting = nil
                    continuation.resume(returning: self.packets.removeFirst())
                }
                self.waiting = look
                look()
            }
        }
    }

    private func say(_ packet: MQTTPacket) {
        self.loop.execute {
            guard let link = self.link, let home = self.home else { return }
            _ = link.owe(1)
            self.broker.receive([packet], link, home: home)
        }
    }

    func connect(_ id: String, user: String?, password: String?, expiry: UInt32) async throws {
        var connect = MQTTConnect(version: .v5, clientID: id, cleanStart: true, keepAliveSeconds: 0)
        connect.properties.sessionExpiryInterval = expiry
        connect.userName = user
        connect.password = password.map { ByteBuffer(string: $0) }
        let said = connect
        self.loop.execute {
            let link = MQTTLink(id: self.broker.nextLink(), loop: self.loop, remote: nil, terms: self.broker.standard.terms, outlet: self)
            self.link = link
            self.broker.connect(said, link)
        }
        guard case .connack(let connack) = try await self.next(), connack.reason == .success else { throw Refused() }
    }

    func subscribe(_ filter: String) async throws {
        self.say(.subscribe(MQTTSubscribe(1, [MQTTSubscription(try TopicFilter(filter), MQTTSubscriptionOptions(qos: .atLeastOnce))])))
        guard case .suback(let suback) = try await self.next(), suback.reasons == [.grantedQoS1] else { throw Refused() }
    }

    func retain(_ topic: String, _ payload: [UInt8]) async throws {
        self.say(.publish(MQTTPublish(topic: try TopicName(topic), payload: ByteBuffer(bytes: payload), qos: .atLeastOnce, packetID: 1, isRetained: true)))
        guard case .puback = try await self.next() else { throw Refused() }
    }

    func goodbye() async throws -> MQTTReason {
        guard case .disconnect(let disconnect) = try await self.next() else { throw Refused() }
        return disconnect.reason
    }
}
